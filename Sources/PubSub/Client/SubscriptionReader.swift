import UringReactor

/// A subscriber's view of what its server sends: the answer to its command, then messages, then an end.
///
/// Messages are raw lines, so a line may look like a reply and be a message. What a client can know:
///
/// - The first line is the answer: `OK`, or an `ERROR` before the server closes.
/// - `BYE` is never a message: to a publisher that line is a command. So `BYE` after the `OK` is always the server's.
/// - `OK` after the `OK` is always a message.
/// - `ERROR …` after the `OK` is a message, unless it is the last line before the end of the stream: then it may be
///   either, and is likely the server's. A server sends it to a subscriber that said something else than `BYE`.
///
/// Therefore every line but `BYE` is passed on as a message at once, rather than kept back until the next one comes, and
/// ``end()`` says how the stream ended, the last line considered.
public struct SubscriptionReader {
    /// What a line means.
    public enum Event: Sendable, Hashable {
        /// The subscription stands.
        case accepted
        /// The subscription was refused, or the answer was no answer; nothing follows.
        case refused(reason: String)
        /// A message, its line ending included, sharing the memory it came in if it came in one segment.
        case message(Bytes)
        /// The server's `BYE`; nothing follows.
        case bye
    }

    /// How the stream ended.
    public enum Ending: Sendable, Hashable {
        /// The server had said `BYE`.
        case bye
        /// The subscription had been refused.
        case refused(reason: String)
        /// The last line was `ERROR` with this reason. It was passed on as a message too, and may have been one.
        case error(reason: String)
        /// The stream ended after a whole message, or after the `OK`: what a client gets that said `BYE` itself.
        case closed
        /// The stream ended within a line, of which `count` bytes had come: no whole message, so none was passed on.
        case cut(count: Int)
        /// The stream ended before the answer.
        case unanswered
    }

    private enum State {
        case waiting
        case receiving(lastLine: Reply?)
        case over(Ending)
    }

    private var state = State.waiting
    private var lines: LineReader

    /// A reader before the answer.
    ///
    /// - Parameter messageLimit: The longest message in bytes, its ending not counted; not less than the server's.
    public init(messageLimit: Int = PubSubLimits().message) {
        lines = LineReader(limit: messageLimit)
    }

    /// What the next line of `rest` means, or nil if there is no whole line in it; then all of it has been taken.
    ///
    /// After `refused` and `bye` there are no more events: what follows is dropped.
    ///
    /// - Parameter rest: What has not been read of a received segment; the line is taken off its front.
    /// - Throws: ``ProtocolError/lineTooLong(limit:)`` for a message over the limit; there is no way to go on.
    public mutating func next(from rest: inout Bytes) throws(ProtocolError) -> Event? {
        if case .over = state {
            rest = Bytes()
            return nil
        }
        guard let line = try lines.next(from: &rest) else { return nil }
        let reply = Reply(line)
        switch (state, reply) {
        case (.waiting, .ok):
            state = .receiving(lastLine: nil)
            return .accepted
        case (.waiting, .error(let reason)):
            return refused(reason)
        case (.waiting, .bye), (.waiting, nil):
            return refused("not an answer: \"\(Escaping.echo(line.content))\"")
        case (.receiving, .bye):
            state = .over(.bye)
            return .bye
        case (.receiving, .ok), (.receiving, .error), (.receiving, nil):
            state = .receiving(lastLine: reply)
            return .message(line.bytes)
        case (.over, _):
            return nil
        }
    }

    /// What the end of the stream, here, means.
    public func end() -> Ending {
        switch state {
        case .over(let ending): ending
        case .waiting: .unanswered
        case .receiving where lines.unfinishedCount > 0: .cut(count: lines.unfinishedCount)
        case .receiving(.error(let reason)): .error(reason: reason)
        case .receiving: .closed
        }
    }

    private mutating func refused(_ reason: String) -> Event {
        state = .over(.refused(reason: reason))
        return .refused(reason: reason)
    }
}
