import UringReactor

/// Whole messages of one publisher, in order, in as few pieces as they came in.
struct MessageBatch {
    /// The beginning of the first message, if it came in earlier segments.
    var beginning: LinePieces
    /// The rest of the first message and all that follow: one slice of one receive segment, ended by LF.
    var lines: Bytes
    /// The number of messages, at least 1.
    var count: Int

    /// The number of bytes of all messages together.
    var byteCount: Int { beginning.byteCount + lines.count }

    /// All pieces, in order.
    func appendPieces(to pieces: inout [Bytes]) {
        if let first = beginning.first {
            pieces.append(first)
            pieces.append(contentsOf: beginning.others)
        }
        pieces.append(lines)
    }
}

/// What a publisher says.
enum PublisherInput {
    case messages(MessageBatch)
    case bye
}

extension LineReader {
    /// As many messages as `rest` holds before a `BYE` or a line that is too long, or that `BYE`.
    ///
    /// Scans every line, so that messages are counted, limits kept and `BYE` is seen, but cuts none of them out.
    ///
    /// - Parameters: As for ``next(from:holding:)``.
    /// - Returns: nil when `rest` has no ending any more; then all of it has been kept and `rest` is empty.
    /// - Throws: ``ProtocolError/lineTooLong(limit:)`` when the *first* line is too long; those before a line that is
    ///   too long are returned first.
    mutating func nextMessages(from rest: inout Bytes, holding: Bool) throws(ProtocolError) -> PublisherInput? {
        guard var end = try endOfLine(in: rest) else {
            keep(&rest, holding: holding)
            return nil
        }
        guard !isByeFirst(in: rest, end: end) else {
            dropUnfinished()
            rest = rest.dropFirst(end)
            return .bye
        }
        var count = 1
        while let lineFeed = rest.firstIndex(of: ASCII.lineFeed, from: end) {
            let content = rest.contentCount(from: end, lineFeed: lineFeed)
            guard content <= limit, !rest.isBye(from: end, contentCount: content) else { break }
            count += 1
            end = lineFeed + 1
        }
        let batch = MessageBatch(beginning: takeUnfinished(), lines: rest.prefix(end), count: count)
        rest = rest.dropFirst(end)
        return .messages(batch)
    }

    /// Whether the first line, whose end is at `end` in `rest`, is `BYE`. Joins nothing.
    private func isByeFirst(in rest: Bytes, end: Int) -> Bool {
        guard unfinishedCount > 0 else {
            return rest.isBye(from: 0, contentCount: rest.contentCount(from: 0, lineFeed: end - 1))
        }
        return isFirst(MessageBatch.byeAndCRLF, in: rest, end: end) || isFirst(MessageBatch.byeAndLF, in: rest, end: end)
    }

    private func isFirst(_ line: Bytes, in rest: Bytes, end: Int) -> Bool {
        unfinishedCount + end == line.count && unfinished.isBeginning(of: line)
            && rest.starts(with: line.dropFirst(unfinishedCount))
    }
}

extension MessageBatch {
    fileprivate static let byeAndCRLF: Bytes = "BYE\r\n"
    fileprivate static let byeAndLF: Bytes = "BYE\n"
}

extension Bytes {
    /// The bytes of the line from `start` to `lineFeed` without its ending.
    fileprivate func contentCount(from start: Int, lineFeed: Int) -> Int {
        let endsInCRLF = lineFeed > start && self[lineFeed - 1] == ASCII.carriageReturn
        return lineFeed - start - (endsInCRLF ? 1 : 0)
    }

    /// Whether `contentCount` bytes from `start` on are `BYE`. The length alone answers for nearly every line.
    fileprivate func isBye(from start: Int, contentCount: Int) -> Bool {
        contentCount == Command.Verb.bye.count && self[start..<(start + contentCount)] == Command.Verb.bye
    }
}
