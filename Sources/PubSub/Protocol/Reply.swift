import UringReactor

/// What a server says besides messages, a line each: `OK`, `ERROR <reason>`, `BYE`.
public enum Reply: Sendable, Hashable {
    /// The command was accepted.
    case ok
    /// The peer is sent away, and why; the connection closes after this line.
    case error(reason: String)
    /// The last publisher of the channel left; the connection closes after this line.
    case bye

    /// The reply on `line`, or nil if it is none.
    ///
    /// A message may look like a reply: ``SubscriptionReader`` tells which can be what.
    public init?(_ line: Line) {
        let content = line.content
        if content == Word.ok {
            self = .ok
        } else if content == Word.bye {
            self = .bye
        } else if content == Word.error {
            self = .error(reason: "")
        } else if content.starts(with: Word.errorAndBlank) {
            self = .error(reason: String(content.dropFirst(Word.errorAndBlank.count)))
        } else {
            return nil
        }
    }

    /// The reply as a server sends it, ended by CRLF. `OK` and `BYE` are static memory and cost no allocation.
    ///
    /// Control characters in a reason are written as `\xNN`, so that whatever it says it stays one line.
    public var line: Bytes {
        switch self {
        case .ok: "OK\r\n"
        case .error(let reason): Bytes("ERROR \(Escaping.line(reason))\r\n")
        case .bye: "BYE\r\n"
        }
    }

    private enum Word {
        static let ok: Bytes = "OK"
        static let bye: Bytes = "BYE"
        static let error: Bytes = "ERROR"
        static let errorAndBlank: Bytes = "ERROR "
    }
}
