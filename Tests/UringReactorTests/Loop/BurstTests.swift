import Testing

@testable import UringReactor

/// What batching is for: many connections that have something to say at once cost few system calls.
@Suite struct BurstTests {
    private static let connections = 64
    private static let rounds = 50

    /// What the clients of one burst share: when the last has its answer, the next burst begins.
    private final class Burst {
        var clients: [Connection] = []
        var answered = 0
        var round = 0
        var entersBefore: UInt64 = 0
        let reactor: Reactor

        init(_ reactor: Reactor) { self.reactor = reactor }

        func isOpen(_ connection: Connection) {
            clients.append(connection)
            if clients.count == connections { begin() }
        }

        func hasAnswer() {
            answered += 1
            guard answered == connections else { return }
            round += 1
            if round < rounds { begin() } else { reactor.stop() }
        }

        private func begin() {
            answered = 0
            if round == 0 { entersBefore = reactor.core.ring.counters.enters }
            for client in clients { client.send("sixty-four at once") }
        }
    }

    private struct Client: ConnectionHandler {
        let burst: Burst
        var received = 0

        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            switch event {
            case .opened: burst.isOpen(connection)
            case .received(let bytes):
                received += bytes.count
                if received == 18 {
                    received = 0
                    burst.hasAnswer()
                }
            case .ended, .drained, .timedOut, .closed: break
            }
            return .continue
        }
    }

    private struct EchoHandler: ConnectionHandler {
        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            if case .received(let bytes) = event { connection.send(bytes) }
            if case .ended = event { return .close }
            return .continue
        }
    }

    /// Both ends are on one reactor, so the count is of all there is: a request, its receive, the answer, and its receive.
    /// Batches of sixteen make a quarter of a call for four operations, and a few more that are not full.
    @Test(arguments: [(BatchingPolicy.turn, 0.125), (.threshold(16), 0.375)])
    func systemCallsAreFew(policy: BatchingPolicy, most: Double) throws {
        let reactor = try Reactor.quiet { $0.batching = policy }
        let server = try Server(on: .loopback(), reactor: reactor) { _ in EchoHandler() }
        let burst = Burst(reactor)
        for _ in 0..<Self.connections { reactor.connect(to: server.address, handler: Client(burst: burst)) }
        try reactor.run()
        #expect(burst.round == Self.rounds)
        let messages = Double(Self.connections * Self.rounds)
        let enters = Double(reactor.core.ring.counters.enters - burst.entersBefore)
        #expect(enters / messages < most, "\(enters) enters for \(messages) messages")
        print("burst of \(Self.connections), \(policy): \(enters / messages) enters a message, four operations each")
    }
}
