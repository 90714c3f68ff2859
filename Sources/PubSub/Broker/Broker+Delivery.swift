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
        guard !batch.beginning.isEmpty else { return note(walk(self, channel, batch.lines, nil), of: batch) }
        // Taken out while it is in use: a peer's `send` may publish to another channel.
        var pieces: [Bytes] = []
        swap(&pieces, &spareArray)
        batch.appendPieces(to: &pieces)
        note(walk(self, channel, batch.lines, pieces), of: batch)
        guard pieces.capacity <= Broker.longestSpareArray else { return }
        pieces.removeAll(keepingCapacity: true)
        swap(&pieces, &spareArray)
    }

    /// Up to so many pieces the array that holds them is kept for the next batch, so that it costs no allocation.
    private static var longestSpareArray: Int { 64 }

    private func note(_ outcome: WalkOutcome, of batch: MessageBatch) {
        statistics.deliveries += outcome.accepted * UInt64(batch.count)
        statistics.messagesDropped += outcome.dropped * UInt64(batch.count)
        statistics.bytesOut += outcome.accepted * UInt64(batch.byteCount)
    }

    /// Sends `pieces`, or, if there are none, `lines`, to all subscribers of a channel.
    ///
    /// Inlinable, and called by way of ``Broker/walk``: where a broker is made for a type of peer, this is specialized for
    /// that type. Unspecialized, each delivery would look up what the peer's type can do: 200 ns each.
    @inlinable
    func send(on channel: Channel<P>, lines: Bytes, pieces: [Bytes]?) -> WalkOutcome {
        var outcome = WalkOutcome()
        let end = channel.subscribers.beginWalk()
        for position in 0..<end {
            // Asked anew for each: any `send` may make any peer leave.
            guard let (peer, drains) = channel.subscribers.member(at: position) else { continue }
            let sent = if let pieces { peer.send(pieces) } else { peer.send(lines) }
            switch sent {
            case .queued:
                outcome.accepted += 1
            case .backlogged:
                outcome.accepted += 1
                fallBehind(peer, at: position, of: channel, drains: drains)
            case .dropped:
                outcome.dropped += 1
            case .refused:
                refused(at: position, of: channel)
            }
        }
        channel.subscribers.endWalk()
        return outcome
    }

    /// It will never drain. That its session ends is on its way; nobody should wait for that.
    @usableFromInline
    func refused(at position: Int, of channel: Channel<P>) {
        channel.subscribers.catchUp(at: position)
        resumeIfNobodyIsBehind(on: channel)
    }
}

/// How many subscribers have taken what was sent, and how many a policy has made miss it.
@usableFromInline
struct WalkOutcome {
    @usableFromInline var accepted: UInt64 = 0
    @usableFromInline var dropped: UInt64 = 0

    @inlinable
    init() {}
}
