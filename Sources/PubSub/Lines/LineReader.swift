import UringReactor

/// Cuts a stream of bytes into lines, however it was cut into segments before.
///
/// Feed it every segment and take lines until it has no more:
///
///     var rest = segment
///     while let line = try reader.next(from: &rest) { … }
///
/// The beginning of a line that has not ended is kept for the next segment. Of a line never more is kept than its limit
/// and a CR: the limit is checked before anything is stored.
public struct LineReader {
    /// The longest line in bytes, its ending not counted. May be changed between lines.
    public var limit: Int

    private(set) var unfinished = UnfinishedLine()

    /// A reader at the beginning of a line.
    ///
    /// - Parameter limit: The longest line in bytes, its ending (LF or CRLF) not counted.
    public init(limit: Int) {
        precondition(limit >= 0, "a negative limit")
        self.limit = limit
    }

    /// The bytes kept of a line that has not ended; at most ``limit`` and a CR.
    public var unfinishedCount: Int { unfinished.count }

    /// The segments kept alive by what is kept of an unfinished line.
    var segmentsHeld: Int { unfinished.segmentsHeld }

    /// The next line, or nil when `rest` has no ending any more; then all of it has been kept and `rest` is empty.
    ///
    /// - Parameters:
    ///   - rest: What has not been read of the segment; the line is taken off its front.
    ///   - holding: Whether the memory of `rest` may be kept alive by the beginning of a line; otherwise it is copied.
    /// - Returns: A line within one segment shares its memory; one that spans several is joined in memory of its own.
    /// - Throws: ``ProtocolError/lineTooLong(limit:)``. The reader then stays where it is: there is no way to go on.
    public mutating func next(from rest: inout Bytes, holding: Bool = false) throws(ProtocolError) -> Line? {
        guard let end = try endOfLine(in: rest) else {
            keep(&rest, holding: holding)
            return nil
        }
        let line = Line(unfinished.take().joined(with: rest.prefix(end)))
        rest = rest.dropFirst(end)
        return line
    }

    /// Forgets the beginning of a line, if there is one.
    public mutating func dropUnfinished() {
        unfinished.clear()
    }

    /// Where in `rest` the current line ends, its LF included, or nil if it does not end there.
    ///
    /// The line begins with what is ``unfinished``. It is within its limit, or this throws.
    func endOfLine(in rest: Bytes) throws(ProtocolError) -> Int? {
        guard !rest.isEmpty else { return nil }
        let lineFeed = rest.firstIndex(of: ASCII.lineFeed)
        let contentEnd = lineFeed ?? rest.count
        let lastByte = contentEnd > 0 ? rest[contentEnd - 1] : unfinished.lastByte
        // A CR at the very end may be half of an ending: it counts only once something else than LF follows.
        let content = unfinished.count + contentEnd - (lastByte == ASCII.carriageReturn ? 1 : 0)
        guard content <= limit else { throw .lineTooLong(limit: limit) }
        return lineFeed.map { $0 + 1 }
    }

    /// The bytes of beginnings of lines that were copied so far.
    var bytesCopied: Int { unfinished.bytesCopied }

    /// Stores `rest`, which ``endOfLine(in:)`` has found to be within the limit and without an ending.
    mutating func keep(_ rest: inout Bytes, holding: Bool) {
        guard !rest.isEmpty else { return }
        unfinished.append(rest, holding: holding)
        rest = Bytes()
    }

    /// Says that the lines taken have been passed on; see ``UnfinishedLine/recycle()``.
    mutating func recycle() { unfinished.recycle() }

    /// Hands over the beginning of the current line.
    mutating func takeUnfinished() -> LinePieces { unfinished.take() }
}
