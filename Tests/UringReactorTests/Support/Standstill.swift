import Glibc
import SystemPackage
import Testing

@testable import UringReactor

/// One way to start an operation that waits for as long as it is left alone.
enum Waiting: String, CaseIterable, CustomTestStringConvertible {
    case accept, acceptMultishot, receive, send, sendPieces, poll, pollMultishot, timeout, read, write

    var testDescription: String { rawValue }

    /// Those that take a timeout of their own.
    static let timed: [Waiting] = [.accept, .receive, .send, .sendPieces, .poll, .read, .write]
}

/// Descriptors on which everything waits: a listener nobody connects to, an empty and a full socket, an empty and a full
/// pipe.
final class Standstill {
    let listener: Listener
    let pair: SocketPair
    let empty: Pipe
    let full: Pipe
    private(set) var calls = 0
    private(set) var error: IOError?

    init() throws {
        listener = try Listener()
        pair = try SocketPair(buffer: 4096)
        empty = try Pipe()
        full = try Pipe()
        full.shrink()
    }

    static let large = Bytes([UInt8](repeating: 1, count: 1 << 20))

    private func note<Value>(_ result: Result<Value, IOError>) {
        calls += 1
        if case .failure(let error) = result { self.error = error }
    }

    /// The descriptor that the operation is on, if it is on one.
    func descriptor(of operation: Waiting) -> FileDescriptor? {
        switch operation {
        case .accept, .acceptMultishot: listener.socket
        case .receive: pair.left
        case .send, .sendPieces: pair.left
        case .poll, .pollMultishot, .read: empty.reader
        case .write: full.writer
        case .timeout: nil
        }
    }

    func start(_ operation: Waiting, on reactor: Reactor, timeout: Duration? = nil) -> OperationToken {
        switch operation {
        case .accept: reactor.accept(on: listener.socket, timeout: timeout) { self.note($0) }
        case .acceptMultishot: reactor.acceptMultishot(on: listener.socket) { self.note($0) }
        case .receive: reactor.receive(from: pair.left, timeout: timeout) { self.note($0) }
        case .send: reactor.send(Standstill.large, to: pair.left, timeout: timeout) { self.note($0) }
        case .sendPieces:
            reactor.send([Standstill.large, Standstill.large], to: pair.left, timeout: timeout) { self.note($0) }
        case .poll: reactor.poll(empty.reader, for: .readable, timeout: timeout) { self.note($0) }
        case .pollMultishot: reactor.pollMultishot(empty.reader, for: .readable) { self.note($0) }
        case .timeout: reactor.timeout(after: .seconds(1000)) { self.note($0) }
        case .read: reactor.read(from: empty.reader, upTo: 10, timeout: timeout) { self.note($0) }
        case .write: reactor.write(Standstill.large, to: full.writer, timeout: timeout) { self.note($0) }
        }
    }
}
