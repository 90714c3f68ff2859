import NIOCore

/// What a client may say before it has a part.
enum Command {
    case publish(ByteBuffer)
    case subscribe(ByteBuffer)
    case bye

    /// The longest command, its ending included.
    static let longest = "SUBSCRIBE ".utf8.count + 255 + 2

    /// - Parameter line: Without its LF.
    /// - Throws: ``Problem``.
    init(_ line: ByteBuffer) throws(Problem) {
        var line = line
        if line.readableBytesView.last == 0x0d { line.moveWriterIndex(to: line.writerIndex - 1) }
        let content = line.readableBytesView
        if content.elementsEqual("BYE".utf8) {
            self = .bye
        } else if let name = Command.argument(of: "PUBLISH ", in: line) {
            self = .publish(try Command.checked(name))
        } else if let name = Command.argument(of: "SUBSCRIBE ", in: line) {
            self = .subscribe(try Command.checked(name))
        } else {
            throw Problem(reason: "unknown command")
        }
    }

    struct Problem: Error {
        let reason: String
    }

    private static func argument(of verb: String, in line: ByteBuffer) -> ByteBuffer? {
        guard line.readableBytesView.starts(with: verb.utf8) else { return nil }
        var rest = line
        rest.moveReaderIndex(forwardBy: verb.utf8.count)
        // A copy: a name that is kept must not keep a receive buffer.
        return ByteBuffer(bytes: rest.readableBytesView)
    }

    private static func checked(_ name: ByteBuffer) throws(Problem) -> ByteBuffer {
        guard (1...255).contains(name.readableBytes) else { throw Problem(reason: "a channel name has 1 to 255 bytes") }
        guard name.readableBytesView.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            throw Problem(reason: "a channel name has no blanks or control characters")
        }
        return name
    }
}
