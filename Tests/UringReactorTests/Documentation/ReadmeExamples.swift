import ReactorTesting
import Testing
import UringReactor

// The examples of README.md, compiled. What stands between "README:" and "README end" stands there too, line by line,
// less the indentation; ReadmeTests looks.

/// A server and a client as state machines.
enum StateMachineExample {
    // README: state machine
    /// Sends back what it receives.
    struct Echo: ConnectionHandler {
        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            switch event {
            case .received(let bytes):
                // A peer that does not read is not read from.
                if connection.send(bytes) == .backlogged { connection.pauseReading() }
                return .continue
            case .drained:
                connection.resumeReading()
                return .continue
            case .opened, .closed: return .continue
            case .ended, .timedOut: return .close
            }
        }
    }
    // README end

    static func serve() throws {
        // README: state machine server
        try Server(on: .loopback(port: 7000)) { _ in Echo() }.run()
        // README end
    }

    // README: state machine client
    /// Says hello, prints what comes back, and ends when the server does.
    struct Hello: ConnectionHandler {
        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            switch event {
            case .opened:
                connection.send("hello\n")
                connection.shutdownSending()
            case .received(let bytes):
                print("received", bytes)
            case .closed(let reason):
                print("closed:", reason)
            case .drained, .ended, .timedOut: break
            }
            return .continue
        }
    }
    // README end

    static func runClient(to address: SocketAddress) throws {
        // README: state machine client's loop
        let reactor = try Reactor()
        reactor.connect(to: address, handler: Hello())
        try reactor.run(.untilIdle)
        // README end
    }

    /// In place of the library's, for the test.
    static func print(_ words: Any...) { Printed.add(words) }
}

/// The same with callbacks.
enum CallbackExample {
    // README: callbacks
    /// Receives, sends, and again. The next receive waits for the send.
    static func echo(_ connection: Connection) {
        connection.receive { result in
            guard let bytes = try result.get() else { return connection.close() }
            connection.send(bytes) { result in
                _ = try result.get()
                echo(connection)
            }
        }
    }
    // README end

    static func serve() throws {
        // README: callback server
        try Server(on: .loopback(port: 7000), onConnection: echo).run()
        // README end
    }

    static func runClient(to address: SocketAddress) throws {
        // README: callback client
        let reactor = try Reactor()
        reactor.connect(to: address) { result in
            let connection = try result.get()
            connection.whenClosed { reason in print("closed:", reason) }
            connection.send("hello\n") { _ in }
            connection.receiveLine { result in
                if let line = try result.get() { print("received", line) }
                connection.close()
            }
        }
        try reactor.run(.untilIdle)
        // README end
    }

    static func print(_ words: Any...) { Printed.add(words) }
}

/// A test of the server above, over the simulated kernel.
@Suite struct SimulationExample {
    typealias Echo = StateMachineExample.Echo

    // README: simulation
    @Test(arguments: UInt64(1)...200) func echoes(seed: UInt64) throws {
        let simulation = try Simulation(seed: seed, faults: .nasty(seed: seed))
        let server = try Server(on: .loopback(port: 7000), reactor: simulation.reactor) { _ in Echo() }
        let peer = try simulation.connect(to: server.address)
        peer.send("hello")
        peer.shutdown()
        try simulation.run(until: { peer.hasEnded })
        #expect(peer.received == "hello" || peer.state != .open)
        try simulation.finish()
    }
    // README end
}
