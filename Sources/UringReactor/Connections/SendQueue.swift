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
        var messages: UInt32
        /// Dropped by nobody, and copied together with nothing.
        var stays = false
    }

    /// In a struct: a closure that is itself the element of a collection would be wrapped.
    struct SendCallback {
        let body: (Result<Int, IOError>) throws -> Void
    }

    /// The first piece. Not in `rest`: most queues never have a second one, and need no memory of their own.
    private var front: Piece?
    private var rest = Deque<Piece>()
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

    var isEmpty: Bool { front == nil }
    @inline(__always)
    var count: Int { front == nil ? 0 : 1 + rest.count }

    /// The first piece; see ``sentOfFirst``.
    var first: Piece {
        @inline(__always)
        _read {
            guard front != nil else { preconditionFailure("nothing is queued") }
            yield unsafe front.unsafelyUnwrapped
        }
    }

    /// Appends a piece of a message, the last one unless there `isMore`; one that `stays` is a message by itself.
    @inline(__always)
    mutating func append(_ bytes: Bytes, callback: SendCallback? = nil, isMore: Bool = false, stays: Bool = false) {
        pendingBytes += bytes.count
        let piece = Piece(bytes: bytes, callback: callback, messages: isMore ? 0 : 1, stays: stays)
        if front == nil {
            front = piece
        } else {
            appendBehind(piece)
        }
    }

    private mutating func appendBehind(_ piece: Piece) {
        rest.append(piece)
        if rest.count > peak { peak = UInt32(clamping: rest.count) }
    }

    /// Puts as many pieces into `block` as it takes, but none of `limit` bytes or more: those are sent by themselves.
    func fill(_ block: VectorBlock, piecesBelow limit: Int) {
        block.removeAll()
        guard first.bytes.count - sentOfFirst < limit, block.append(first.bytes, skipping: sentOfFirst) else { return }
        for piece in rest {
            guard piece.bytes.count < limit, block.append(piece.bytes) else { return }
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
        guard front != nil, sentOfFirst >= first.bytes.count else { return nil }
        sentOfFirst -= first.bytes.count
        return pop()
    }

    /// Takes the first piece off, sent or not.
    mutating func popUnsent() -> Piece? {
        guard front != nil else { return nil }
        pendingBytes -= first.bytes.count - sentOfFirst
        sentOfFirst = 0
        return pop()
    }

    @inline(__always)
    private mutating func pop() -> Piece {
        guard let piece = front.take() else { preconditionFailure("nothing is queued") }
        if compacted > 0 { compacted -= 1 }
        isWithinMessage = piece.messages == 0
        if peak > 0 { takeFromBehind() }
        if chunk != nil, front == nil { chunk = nil }
        return piece
    }

    private mutating func takeFromBehind() {
        front = rest.popFirst()
        guard front == nil else { return }
        // A queue that was once long must not keep its memory for good.
        if peak > 64 { rest = Deque() }
        peak = 0
    }

    /// All pieces, for those who look at more than the first; they go back with ``putBack(_:)``.
    private mutating func takeAll() -> Deque<Piece> {
        var all = Deque<Piece>()
        swap(&all, &rest)
        if let first = front.take() { all.prepend(first) }
        return all
    }

    private mutating func putBack(_ pieces: consuming Deque<Piece>) {
        front = pieces.popFirst()
        rest = pieces
        peak = max(peak, UInt32(clamping: rest.count))
        if front == nil { chunk = nil }
    }

    // MARK: - Dropping

    /// Drops whole messages, oldest first, until `excess` bytes are gone or nothing is left that may be dropped: a message
    /// of which a part has been sent, or is with the kernel, must be finished. Those that stay do, and where one lies behind
    /// others no more than these are dropped.
    ///
    /// - Parameter inFlight: pieces that the kernel is sending.
    mutating func dropOldest(_ excess: Int, inFlight: Int) -> (pieces: [Piece], bytes: Int, messages: Int) {
        var pieces = takeAll()
        defer { putBack(pieces) }
        var first = firstDroppable(of: pieces, inFlight: inFlight)
        while first < pieces.count, pieces[first].stays { first += 1 }
        var end = first
        var (bytes, messages) = (0, 0)
        /// After the last message that is whole.
        var atEnd = (place: first, bytes: 0, messages: 0)
        while end < pieces.count, atEnd.bytes < excess, !pieces[end].stays {
            bytes += pieces[end].bytes.count
            messages += Int(pieces[end].messages)
            end += 1
            if pieces[end - 1].messages > 0 { atEnd = (end, bytes, messages) }
        }
        guard atEnd.place > first else { return ([], 0, 0) }
        let dropped = Array(pieces[first..<atEnd.place])
        pieces.removeSubrange(first..<atEnd.place)
        pendingBytes -= atEnd.bytes
        compacted -= UInt32(max(0, min(Int(compacted), atEnd.place) - first))
        return (dropped, atEnd.bytes, atEnd.messages)
    }

    /// The place of the first piece of the first message that nothing has been sent of.
    private func firstDroppable(of pieces: Deque<Piece>, inFlight: Int) -> Int {
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
        guard fresh < count else { return 0 }
        var pieces = takeAll()
        defer { putBack(pieces) }
        let tail = Array(pieces[fresh...])
        pieces.removeLast(tail.count)
        var left = tail.reduce(0) { $0 + $1.bytes.count }
        var copied = 0
        for piece in tail {
            if piece.callback == nil, !piece.stays, piece.bytes.count < SendQueue.largestCopied {
                copied += piece.bytes.count
                appendCopy(of: piece, expecting: left, to: &pieces)
            } else {
                pieces.append(piece)
            }
            left -= piece.bytes.count
        }
        compacted = UInt32(clamping: pieces.count)
        return copied
    }

    /// - Parameter bytes: how many are still to be copied, these included, at most.
    private mutating func appendCopy(of piece: Piece, expecting bytes: Int, to pieces: inout Deque<Piece>) {
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
