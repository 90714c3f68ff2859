import ReactorTesting
import Testing
import UringReactor

/// A peer that has ended its sending, and reads slowly or not at all.
@Suite struct HalfClosedPeerTests {
    private struct Talker: ConnectionHandler {
        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            if case .ended = event { connection.send(Bytes([UInt8](repeating: 7, count: 10_000))) }
            return .continue
        }
    }

    private func run(readsAfter delay: Duration?) throws -> (heard: Int, turns: UInt64) {
        var configuration = SimulatedKernel.Configuration()
        configuration.sendBuffer = 1_000
        configuration.receiveBuffer = 1_000
        let kernel = SimulatedKernel(configuration: configuration)
        let reactor = try Reactor(kernel: kernel)
        let server = try Server(on: .loopback(port: 7_000), reactor: reactor) { _ in Talker() }
        let peer = try kernel.connect(to: .loopback(port: 7_000))
        peer.pauseReading()
        peer.shutdown()
        if let delay { kernel.schedule(after: delay) { peer.resumeReading() } }
        reactor.after(.seconds(30)) {
            server.stop()
            reactor.stop()
        }
        try reactor.run()
        return (peer.received.count, reactor.statistics.turns)
    }

    /// A poll for room completes at once for such a peer, whether there is room or not: the loop must not turn with it.
    @Test func theLoopRestsWhileThePeerDoesNotRead() throws {
        let (heard, turns) = try run(readsAfter: .seconds(5))
        #expect(heard == 10_000)
        #expect(turns < 100)
    }

    @Test func itIsGivenUpAsAnyOther() throws {
        let (heard, turns) = try run(readsAfter: nil)
        #expect(heard == 0)
        #expect(turns < 100)
    }
}
