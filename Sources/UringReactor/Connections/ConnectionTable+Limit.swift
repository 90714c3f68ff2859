import SystemPackage

/// What happens when more waits for a peer than may.
extension ConnectionTable {
    /// Whether `count` bytes more stay within the limit. One message is always taken if nothing else waits: the limit is on
    /// what piles up, not on the size of a message.
    @inline(__always)
    func hasPlace(for count: Int, _ index: UInt32) -> Bool {
        let (pending, limit) = (slots[index].queue.pendingBytes, slots[index].limits.maximumPendingBytes)
        return pending == 0 || count <= limit - min(pending, limit)
    }

    /// Does what the policy says. Nil if there is a place now.
    func makePlace(for count: Int, _ index: UInt32) -> SendOutcome? {
        switch slots[index].limits.slowConsumer {
        case .disconnect(let farewell):
            core.statistics.slowConsumers &+= 1
            dismiss(index, farewell)
            return .refused
        case .dropNewest:
            noteDropped(messages: 1, bytes: count)
            return .dropped
        case .dropOldest:
            let queue = slots[index].queue.pendingBytes
            drop(index, bytes: queue + count - slots[index].limits.maximumPendingBytes)
            // What is left has been sent in part. A message larger than the limit is taken like one that finds an empty
            // queue, unless one such is there already.
            guard hasPlace(for: count, index) || slots[index].queue.pendingBytes <= slots[index].limits.maximumPendingBytes
            else {
                noteDropped(messages: 1, bytes: count)
                return .dropped
            }
            return nil
        }
    }

    /// Drops the oldest messages until so many bytes are gone, as far as that can be done.
    private func drop(_ index: UInt32, bytes: Int) {
        let inFlight = slots[index].flags.contains(.sending) ? Int(slots[index].offeredPieces) : 0
        let dropped = slots[index].queue.dropOldest(bytes, inFlight: inFlight)
        guard !dropped.pieces.isEmpty else { return }
        noteDropped(messages: dropped.messages, bytes: dropped.bytes)
        let error = IOError(.send, .noBufferSpace, target: "\(handle(index))")
        for case let callback? in dropped.pieces.map(\.callback) { later { try callback.body(.failure(error)) } }
    }

    private func noteDropped(messages: Int, bytes: Int) {
        core.statistics.messagesDropped &+= UInt64(messages)
        core.statistics.bytesDropped &+= UInt64(bytes)
    }

    /// Ends the connection of a peer that reads too slowly, with a last word if it has ears for one.
    private func dismiss(_ index: UInt32, _ farewell: Bytes?) {
        guard let farewell, !farewell.isEmpty else { return end(index, .slowConsumer) }
        drop(index, bytes: .max)
        slots[index].queue.append(farewell)
        _ = queued(index)
        close(index, .slowConsumer)
    }
}
