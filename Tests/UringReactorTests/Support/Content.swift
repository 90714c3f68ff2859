@testable import UringReactor

/// Bytes that say whose they are and where: eight bytes a word, the number of the connection in the upper half, and the
/// place in the lower one. A byte that is lost, doubled or out of order does not go unnoticed.
func content(of number: Int, words: Int) -> [UInt8] {
    let words = (0..<words).map { UInt64(number) << 32 | UInt64($0) }
    return unsafe words.withUnsafeBytes { unsafe Array($0) }
}

/// Whose bytes these are: the number in their first word.
func number(in bytes: [UInt8]) -> Int { bytes.count < 8 ? -1 : Int(bytes[4]) | Int(bytes[5]) << 8 }

/// Which connection receives what, of a server whose peers say who they are.
final class Receipts {
    private(set) var all: [Int: [UInt8]] = [:]
    private(set) var ended = 0
    /// What the connections are called in the order of their events.
    private(set) var order: [Int] = []
    /// Bytes of each event.
    private(set) var sizes: [Int] = []

    func note(_ bytes: Bytes, _ soFar: inout [UInt8]) {
        soFar.append(bytes)
        sizes.append(bytes.count)
        order.append(number(in: soFar))
    }

    func noteEnd(_ bytes: [UInt8]) {
        all[number(in: bytes)] = bytes
        ended += 1
    }

    struct Handler: ConnectionHandler {
        let receipts: Receipts
        var soFar: [UInt8] = []
        let onReceived: (Bytes, Connection) -> Void

        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            switch event {
            case .received(let bytes):
                receipts.note(bytes, &soFar)
                onReceived(bytes, connection)
            case .ended:
                receipts.noteEnd(soFar)
                return .close
            default: break
            }
            return .continue
        }
    }

    func handler(_ onReceived: @escaping (Bytes, Connection) -> Void = { _, _ in }) -> Handler {
        Handler(receipts: self, onReceived: onReceived)
    }

    /// The same with callbacks.
    func receive(from connection: Connection) {
        var soFar: [UInt8] = []
        func next() {
            connection.receive { result in
                guard let bytes = try result.get() else {
                    self.noteEnd(soFar)
                    return connection.close()
                }
                self.note(bytes, &soFar)
                next()
            }
        }
        next()
    }
}
