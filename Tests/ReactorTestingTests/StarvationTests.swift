import ReactorTesting
import Testing
import UringReactor

/// Connections that wait for a receive buffer.
@Suite struct StarvationTests {
    private final class Room {
        var connections: [Connection] = []
        var heard = 0
    }

    /// Whoever hears something first has the next one pause.
    private struct Guest: ConnectionHandler {
        let room: Room

        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            switch event {
            case .opened: room.connections.append(connection)
            case .received:
                room.heard += 1
                guard room.heard == 1, let place = room.connections.firstIndex(of: connection) else { break }
                room.connections[(place + 1) % room.connections.count].pauseReading()
            case .ended: return .close
            case .drained, .timedOut, .closed: break
            }
            return .continue
        }
    }

    /// It takes its turn, but no buffer. The others were forgotten then, if nothing else happened.
    @Test func oneThatPausesWhileItWaitsGivesItsTurnToTheNext() throws {
        let kernel = SimulatedKernel()
        var configuration = ReactorConfiguration()
        configuration.receiveBufferCount = 1
        let reactor = try Reactor(configuration: configuration, kernel: kernel)
        let room = Room()
        let server = try Server(on: .loopback(port: 7_000), reactor: reactor) { _ in Guest(room: room) }
        let peers = try (0..<3).map { _ in try kernel.connect(to: .loopback(port: 7_000)) }
        kernel.schedule(after: .milliseconds(1)) { for peer in peers { peer.send("hello") } }
        var heard = 0
        kernel.schedule(after: .seconds(1)) {
            heard = room.heard
            for peer in peers { peer.close() }
        }
        reactor.after(.seconds(2)) {
            server.stop()
            reactor.stop()
        }
        try reactor.run()
        #expect(heard == 2)
        #expect(reactor.statistics.receivesWithoutBuffer >= 2)
    }
}
