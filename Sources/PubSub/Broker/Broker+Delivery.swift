import UringReactor

extension Broker {
    /// Hands whole messages to every subscriber of the channel; to nobody is fine.
    func publish(_ batch: MessageBatch, on channel: Channel<P>) {
        statistics.messagesPublished += UInt64(batch.count)
        guard !channel.isDelivering else {
            channel.backlog.append(batch)
            return
        }
        channel.isDelivering = true
        deliver(batch, on: channel)
        // Not a for loop: deliveries may add to it.
        var position = 0
        while position < channel.backlog.count {
            deliver(channel.backlog[position], on: channel)
            position += 1
        }
        if position > 0 { channel.backlog = [] }
        channel.isDelivering = false
    }

    /// One subscriber after the other, each all pieces at once: nothing comes between those of a message.
    private func deliver(_ batch: MessageBatch, on channel: Channel<P>) {
        guard channel.subscribers.count > 0 else { return }
        guard !batch.beginning.isEmpty else { return walk(channel, with: batch) { $0.send(batch.lines) } }
        // Taken out while it is in use: a peer's `send` may publish to another channel.
        var pieces: [Bytes] = []
        swap(&pieces, &spareArray)
        batch.appendPieces(to: &pieces)
        walk(channel, with: batch) { $0.send(pieces) }
        guard pieces.capacity <= Broker.longestSpareArray else { return }
        pieces.removeAll(keepingCapacity: true)
        swap(&pieces, &spareArray)
    }

    /// Up to so many pieces the array that holds them is kept for the next batch, so that it costs no allocation.
    private static var longestSpareArray: Int { 64 }

    private func walk(_ channel: Channel<P>, with batch: MessageBatch, send: (P) -> SendOutcome) {
        var accepted: UInt64 = 0
        var dropped: UInt64 = 0
        let end = channel.subscribers.beginWalk()
        for position in 0..<end {
            // Asked anew for each: any `send` may make any peer leave.
            guard let peer = channel.subscribers.peer(at: position) else { continue }
            let drains = channel.subscribers.drains(at: position)
            switch send(peer) {
            case .queued:
                accepted += 1
            case .backlogged:
                accepted += 1
                fallBehind(peer, at: position, of: channel, drains: drains)
            case .dropped:
                dropped += 1
            case .refused:
                // It will never drain. That its session ends is on its way; nobody should wait for that.
                channel.subscribers.catchUp(at: position)
                resumeIfNobodyIsBehind(on: channel)
            }
        }
        channel.subscribers.endWalk()
        statistics.deliveries += accepted * UInt64(batch.count)
        statistics.messagesDropped += dropped * UInt64(batch.count)
        statistics.bytesOut += accepted * UInt64(batch.byteCount)
    }
}
