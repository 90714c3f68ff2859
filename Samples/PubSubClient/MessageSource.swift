import PubSub
import SystemPackage
import UringReactor

/// Where a publisher's messages come from.
protocol MessageSource: AnyObject {
    /// Calls back, now or later, with the next messages: whole lines, or nil when there are no more. One call at a time.
    func next(_ deliver: @escaping (Result<Bytes?, any Error>) -> Void)
}

/// A message that the protocol cannot carry.
struct InvalidMessage: Error, CustomStringConvertible {
    let description: String
}

/// The messages of a command line, all at once.
final class ArgumentMessages: MessageSource {
    private var lines: Bytes?

    /// - Throws: ``InvalidMessage`` for one with a line feed in it, and for `BYE`, which would end the publisher.
    init(_ messages: [String]) throws {
        for message in messages {
            guard !message.utf8.contains(UInt8(ascii: "\n")) else {
                throw InvalidMessage(description: "a message is one line: \(message.debugDescription)")
            }
            guard !Line(Bytes(message + "\n")).isBye else { throw InvalidMessage.bye }
        }
        lines = Bytes(messages.map { $0 + "\n" }.joined())
    }

    func next(_ deliver: @escaping (Result<Bytes?, any Error>) -> Void) {
        let lines = lines
        self.lines = nil
        deliver(.success(lines))
    }
}

/// The lines of standard input, read through the reactor as they come.
final class StandardInputMessages: MessageSource {
    private let reactor: Reactor
    private var reader = LineReader(limit: .max - 1)
    private var hasEnded = false

    init(_ reactor: Reactor) { self.reactor = reactor }

    func next(_ deliver: @escaping (Result<Bytes?, any Error>) -> Void) {
        guard !hasEnded else { return deliver(.success(nil)) }
        reactor.read(from: .standardInput, upTo: 1 << 16) { [self] result in
            let lines = Result { try wholeLines(of: result.get()) }
            // Half a line is read on; what was read last may have been no whole line, but its end is.
            if case .success(let lines) = lines, lines.isEmpty { return next(deliver) }
            deliver(lines.map { $0 })
        }
    }

    /// The lines that `bytes` completes; at the end, which is no bytes, the last one, whether it has an ending or not.
    private func wholeLines(of bytes: Bytes) throws -> Bytes {
        var rest = bytes
        if bytes.isEmpty {
            hasEnded = true
            if reader.unfinishedCount > 0 { rest = "\n" }
        }
        var lines: [UInt8] = []
        while let line = try reader.next(from: &rest) {
            guard !line.isBye else { throw InvalidMessage.bye }
            lines.append(contentsOf: line.bytes)
        }
        return Bytes(lines)
    }
}

extension InvalidMessage {
    static let bye = InvalidMessage(description: "BYE is a command of the protocol and cannot be a message")
}
