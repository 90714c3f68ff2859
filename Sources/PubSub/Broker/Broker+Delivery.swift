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

    /// One subscriber after the other, each all pieces: nothing comes between the pieces of a message.
    private func deliver(_ batch: MessageBatch, on channel: Channel<P>) {
        var deliveries: UInt64 = 0
        var bytesOut: UInt64 = 0
        let end = channel.subscribers.beginWalk()
        for position in 0..<end {
            if hand(batch, toSubscriberAt: position, of: channel, counting: &bytesOut) {
                deliveries += UInt64(batch.count)
            }
        }
        channel.subscribers.endWalk()
        statistics.deliveries += deliveries
        statistics.bytesOut += bytesOut
    }

    /// False if the subscriber left before it had got everything.
    private func hand(
        _ batch: MessageBatch,
        toSubscriberAt position: Int,
        of channel: Channel<P>,
        counting bytesOut: inout UInt64
    ) -> Bool {
        // Asked anew for every piece: any `send` may make any peer leave.
        func send(_ bytes: Bytes) -> Bool {
            guard let peer = channel.subscribers.peer(at: position) else { return false }
            bytesOut += UInt64(bytes.count)
            peer.send(bytes)
            return true
        }
        if let first = batch.beginning.first {
            guard send(first) else { return false }
            for piece in batch.beginning.others {
                guard send(piece) else { return false }
            }
        }
        return send(batch.lines)
    }
}
