import UringReactor

/// What a client may say, a line each: `PUBLISH <channel>`, `SUBSCRIBE <channel>`, `BYE`.
///
/// Verbs are in capitals, with exactly one blank before the name; the line ends in CRLF or LF.
public enum Command: Sendable, Hashable {
    /// Every line after this one is a message to the channel.
    case publish(ChannelName)
    /// Send me the messages of the channel.
    case subscribe(ChannelName)
    /// Send what is queued, then close.
    case bye

    /// The longest command in bytes, its ending not counted: the longest verb, a blank, the longest name.
    public static let longest = Verb.subscribe.count + 1 + ChannelName.longest

    enum Verb {
        static let publish: Bytes = "PUBLISH"
        static let subscribe: Bytes = "SUBSCRIBE"
        static let bye: Bytes = "BYE"
    }

    /// The command on `line`.
    ///
    /// - Throws: ``ProtocolError/emptyCommand``, ``ProtocolError/unknownCommand(echo:)``, or what is wrong with the name.
    public init(_ line: Line) throws(ProtocolError) {
        let content = line.content
        guard !content.isEmpty else { throw .emptyCommand }
        guard content != Verb.bye else {
            self = .bye
            return
        }
        if let name = Command.argument(of: Verb.publish, in: content) {
            self = .publish(try ChannelName(name))
        } else if let name = Command.argument(of: Verb.subscribe, in: content) {
            self = .subscribe(try ChannelName(name))
        } else {
            throw .unknownCommand(echo: Escaping.echo(content))
        }
    }

    /// The command as a client sends it, ended by CRLF, in memory of its own.
    public var line: Bytes {
        switch self {
        case .publish(let name): Command.line(Verb.publish, name)
        case .subscribe(let name): Command.line(Verb.subscribe, name)
        case .bye: "BYE\r\n"
        }
    }

    /// What follows `verb` and one blank; nothing for the verb alone; nil if `content` begins otherwise.
    private static func argument(of verb: Bytes, in content: Bytes) -> Bytes? {
        guard content.starts(with: verb) else { return nil }
        guard content.count > verb.count else { return Bytes() }
        return content[verb.count] == ASCII.blank ? content.dropFirst(verb.count + 1) : nil
    }

    private static func line(_ verb: Bytes, _ name: ChannelName) -> Bytes {
        var line: [UInt8] = []
        line.reserveCapacity(verb.count + name.bytes.count + 3)
        line.append(contentsOf: verb)
        line.append(ASCII.blank)
        line.append(contentsOf: name.bytes)
        line.append(ASCII.carriageReturn)
        line.append(ASCII.lineFeed)
        return Bytes(line)
    }
}
