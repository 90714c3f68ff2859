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
    private var peak = 0

    var isEmpty: Bool { pieces.isEmpty }
    var count: Int { pieces.count }

    /// The first piece and what of it is left.
    var first: Piece { pieces[0] }

    mutating func append(_ bytes: Bytes, callback: SendCallback? = nil) {
        pieces.append(Piece(bytes: bytes, callback: callback))
        pendingBytes += bytes.count
        if pieces.count > peak { peak = pieces.count }
    }

    /// Puts as many pieces into `block` as it takes.
    func fill(_ block: VectorBlock) {
        block.removeAll()
        var skip = sentOfFirst
        for piece in pieces {
            guard block.append(piece.bytes, skipping: skip) else { return }
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
        let piece = pieces.removeFirst()
        shrinkIfEmpty()
        return piece
    }

    /// Takes the first piece off, sent or not.
    mutating func popUnsent() -> Piece? {
        guard let piece = pieces.popFirst() else { return nil }
        pendingBytes -= piece.bytes.count - sentOfFirst
        sentOfFirst = 0
        shrinkIfEmpty()
        return piece
    }

    /// A queue that was once long must not keep its memory for good.
    private mutating func shrinkIfEmpty() {
        guard pieces.isEmpty else { return }
        if peak > 64 { pieces = Deque() }
        peak = 0
    }
}
