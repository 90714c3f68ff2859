import Testing

@testable import UringReactor

/// An event, as a test compares it. Receives in a row are one.
enum Seen: Equatable {
    case opened
    case received(String)
    case ended
    case drained
    case timedOut
    case closed(CloseReason)
}

/// What one connection's handler saw, and what it answers. Fails the test when events break the contract: `opened` first,
/// `closed` last and once.
final class Script {
    private(set) var seen: [Seen] = []
    private(set) var bytes: [UInt8] = []
    /// The connection of the last event.
    private(set) var connection: Connection?
    private let answer: (ConnectionEvent, Connection) throws -> NextStep
    private let keepsBytes: Bool

    init(keepsBytes: Bool = true, _ answer: @escaping (ConnectionEvent, Connection) throws -> NextStep = Script.usual) {
        self.answer = answer
        self.keepsBytes = keepsBytes
    }

    /// Goes on until the peer ends or the time is up.
    static func usual(_ event: ConnectionEvent, _: Connection) -> NextStep {
        switch event {
        case .ended, .timedOut: .close
        default: .continue
        }
    }

    var handler: Handler { Handler(script: self) }
    var reason: CloseReason? { if case .closed(let reason)? = seen.last { reason } else { nil } }
    var text: String { String(decoding: bytes, as: UTF8.self) }

    struct Handler: ConnectionHandler {
        let script: Script
        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            try script.note(event, connection)
        }
    }

    private func note(_ event: ConnectionEvent, _ connection: Connection) throws -> NextStep {
        if let reason { Issue.record("\(event) after closed(\(reason))") }
        self.connection = connection
        switch event {
        case .opened: note(.opened)
        case .received(let bytes):
            #expect(!bytes.isEmpty)
            if keepsBytes { self.bytes.append(bytes) }
            let text = keepsBytes && self.bytes.count < 10_000 ? String(bytes) : ""
            if case .received(let before)? = seen.last {
                guard !text.isEmpty else { break }
                seen[seen.count - 1] = .received(before + text)
            } else {
                note(.received(text))
            }
        case .ended: note(.ended)
        case .drained: note(.drained)
        case .timedOut: note(.timedOut)
        case .closed(let reason): note(.closed(reason))
        }
        return try answer(event, connection)
    }

    private func note(_ event: Seen) {
        if seen.isEmpty, event != .opened {
            if case .closed = event {} else { Issue.record("\(event) before opened") }
        }
        seen.append(event)
    }
}

/// Something to throw.
struct Mishap: Error, Equatable {}

extension [UInt8] {
    /// Without a loop over single bytes, which is slow in debug builds.
    mutating func append(_ bytes: Bytes) {
        unsafe bytes.withUnsafeBytes { unsafe append(contentsOf: $0) }
    }
}
