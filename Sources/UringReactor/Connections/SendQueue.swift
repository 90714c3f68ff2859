import DequeModule

/// What one connection has yet to send, in order.
///
/// At its front lies what the kernel is sending, if it is: pieces are taken off only when they have been sent, so their
/// memory lives as long as the kernel may read it.
struct SendQueue {
    struct Piece {
        var bytes: Bytes
        /// The callback to call when the last byte has been sent, or nil.
        var callback: SendCallback?
        /// How many messages end in it. 0 for all but the last piece of one that lies in several: a message is dropped as a
        /// whole or not at all.
        var messages: Int
        /// Dropped by nobody, and copied together with nothing.
        var stays = false
    }

    /// In a struct: a closure that is itself the element of a collection would be wrapped.
    struct SendCallback {
        let body: (Result<Int, IOError>) throws -> Void
    }

    private var pieces = Deque<Piece>()
    /// Bytes of the first piece that have been sent.
    private(set) var sentOfFirst = 0
    /// Bytes that have not been sent.
    private(set) var pendingBytes = 0
    /// The most pieces there were since the queue was last empty.
    private var peak: UInt32 = 0
    /// Pieces at the front that ``compact()`` has seen.
    private var compacted: UInt32 = 0
    /// Where ``compact()`` can go on writing.
    private var chunk: BytesChunk?
    /// Whether the last piece that was taken off was not the last of its message.
    private var isWithinMessage = false

    var isEmpty: Bool { pieces.isEmpty }
    var count: Int { pieces.count }

    /// The first piece; see ``sentOfFirst``.
    var first: Piece { pieces[0] }

    /// Appends a piece of a message, the last one unless there `isMore`; one that `stays` is a message by itself.
    mutating func append(_ bytes: Bytes, callback: SendCallback? = nil, isMore: Bool = false, stays: Bool = false) {
        pieces.append(Piece(bytes: bytes, callback: callback, messages: isMore ? 0 : 1, stays: stays))
        pendingBytes += bytes.count
        if pieces.count > peak { peak = UInt32(clamping: pieces.count) }
    }

    /// Puts as many pieces into `block` as it takes, but none of `limit` bytes or more: those are sent by themselves.
    func fill(_ block: VectorBlock, piecesBelow limit: Int) {
        block.removeAll()
        var skip = sentOfFirst
        for piece in pieces {
            guard piece.bytes.count - skip < limit, block.append(piece.bytes, skipping: skip) else { return }
            skip = 0
        }
    }

    /// Notes that the next `count` bytes have been sent.
    mutating func advance(by count: Int) {
        precondition(count <= pendingBytes, "\(count) bytes sent of \(pendingBytes)")
        pendingBytes -= count
        sentOfFirst += count
    }

    /// Takes the first piece off if all of it has been sent.
    mutating func popSent() -> Piece? {
        guard let first = pieces.first, sentOfFirst >= first.bytes.count else { return nil }
        sentOfFirst -= first.bytes.count
        return pop()
    }

    /// Takes the first piece off, sent or not.
    mutating func popUnsent() -> Piece? {
        guard let first = pieces.first else { return nil }
        pendingBytes -= first.bytes.count - sentOfFirst
        sentOfFirst = 0
        return pop()
    }

    private mutating func pop() -> Piece {
        let piece = pieces.removeFirst()
        if compacted > 0 { compacted -= 1 }
        isWithinMessage = piece.messages == 0
        if pieces.isEmpty {
            // A queue that was once long must not keep its memory for good.
            if peak > 64 { pieces = Deque() }
            peak = 0
            chunk = nil
        }
        return piece
    }

    // MARK: - Dropping

    /// Drops whole messages, oldest first, until `excess` bytes are gone or nothing is left that may be dropped: a message
    /// of which a part has been sent, or is with the kernel, must be finished. Those that stay do, and where one lies behind
    /// others no more than these are dropped.
    ///
    /// - Parameter inFlight: pieces that the kernel is sending.
    mutating func dropOldest(_ excess: Int, inFlight: Int) -> (pieces: [Piece], bytes: Int, messages: Int) {
        var first = firstDroppable(inFlight: inFlight)
        while first < pieces.count, pieces[first].stays { first += 1 }
        var end = first
        var (bytes, messages) = (0, 0)
        /// After the last message that is whole.
        var atEnd = (place: first, bytes: 0, messages: 0)
        while end < pieces.count, atEnd.bytes < excess, !pieces[end].stays {
            bytes += pieces[end].bytes.count
            messages += pieces[end].messages
            end += 1
            if pieces[end - 1].messages > 0 { atEnd = (end, bytes, messages) }
        }
        guard atEnd.place > first else { return ([], 0, 0) }
        let dropped = Array(pieces[first..<atEnd.place])
        pieces.removeSubrange(first..<atEnd.place)
        pendingBytes -= atEnd.bytes
        compacted -= UInt32(max(0, min(Int(compacted), atEnd.place) - first))
        if pieces.isEmpty { chunk = nil }
        return (dropped, atEnd.bytes, atEnd.messages)
    }

    /// The place of the first piece of the first message that nothing has been sent of.
    private func firstDroppable(inFlight: Int) -> Int {
        var place = inFlight
        let isBegun = place > 0 ? pieces[place - 1].messages == 0 : sentOfFirst > 0 || isWithinMessage
        guard isBegun else { return place }
        while place < pieces.count {
            place += 1
            if pieces[place - 1].messages > 0 { break }
        }
        return place
    }

    // MARK: - Compacting

    /// The largest piece that is copied: what is larger is worth the memory that it keeps alive.
    private static let largestCopied = 16_384

    /// Copies small pieces together into memory of the queue's own, so that they no longer keep receive buffers from being
    /// used, nor cost more than their bytes. Not while the kernel is sending any of them. Each piece is copied once at most.
    ///
    /// - Returns: bytes copied.
    mutating func compact() -> Int {
        // What is partly sent stays where it is: how much of it is gone refers to it.
        let fresh = max(Int(compacted), sentOfFirst > 0 ? 1 : 0)
        guard fresh < pieces.count else { return 0 }
        let tail = Array(pieces[fresh...])
        pieces.removeLast(tail.count)
        var left = tail.reduce(0) { $0 + $1.bytes.count }
        var copied = 0
        for piece in tail {
            if piece.callback == nil, !piece.stays, piece.bytes.count < SendQueue.largestCopied {
                copied += piece.bytes.count
                appendCopy(of: piece, expecting: left)
            } else {
                pieces.append(piece)
            }
            left -= piece.bytes.count
        }
        compacted = UInt32(clamping: pieces.count)
        return copied
    }

    /// - Parameter bytes: how many are still to be copied, these included, at most.
    private mutating func appendCopy(of piece: Piece, expecting bytes: Int) {
        let target: BytesChunk
        if let chunk, chunk.room >= piece.bytes.count {
            target = chunk
        } else {
            // As much again as there is now, within bounds: many connections may be slow by a little.
            target = BytesChunk(capacity: min(max(bytes * 2, 4096), 65_536))
            chunk = target
        }
        let copy = target.append(piece.bytes)
        let last = pieces.count - 1
        // Two pieces become one if that one still ends where a message does, or both are of the same message.
        if last >= 0, pieces[last].callback == nil, !pieces[last].stays, piece.messages > 0 || pieces[last].messages == 0,
            let joined = pieces[last].bytes.joined(to: copy) {
            pieces[last].bytes = joined
            pieces[last].messages += piece.messages
        } else {
            pieces.append(Piece(bytes: copy, callback: nil, messages: piece.messages))
        }
    }
}
