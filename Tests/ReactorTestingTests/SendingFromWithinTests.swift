import ReactorTesting
import Testing
import UringReactor

/// What callbacks of sends do to the queue whose front has just been sent, but is not yet taken off.
@Suite struct SendingFromWithinTests {
    /// Sends "first", and in one operation after it "a", "b" and "cc". The callback of "a" does what the test wants.
    private struct Talker: ConnectionHandler {
        let callback: (Connection) -> Void

        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            guard case .opened = event else { return .continue }
            let callback = callback
            connection.send("first")
            // Until the first one has gone out, the others wait.
            connection.send("a") { _ in callback(connection) }
            connection.send("b")
            connection.send("cc")
            return .continue
        }
    }

    private func heard(
        _ batching: BatchingPolicy, _ options: ConnectionOptions, _ callback: @escaping (Connection) -> Void
    ) throws -> String {
        let kernel = SimulatedKernel()
        var configuration = ReactorConfiguration()
        configuration.batching = batching
        let reactor = try Reactor(configuration: configuration, kernel: kernel)
        var listening = ServerConfiguration()
        listening.connection = options
        let server = try Server(on: .loopback(port: 7_000), configuration: listening, reactor: reactor) { _ in
            Talker(callback: callback)
        }
        let peer = try kernel.connect(to: .loopback(port: 7_000))
        kernel.schedule(after: .milliseconds(10)) { peer.shutdown() }
        reactor.after(.milliseconds(20)) {
            server.stop()
            reactor.stop()
        }
        try reactor.run()
        return String(peer.received)
    }

    /// Such a send was started in the middle of the callbacks, from a place in the queue that was none.
    @Test func aThresholdStartsNoSendFromWithinACallback() throws {
        let text = try heard(.threshold(1), ConnectionOptions()) { $0.send("x") }
        #expect(text == "firstabccx")
    }

    /// What had been sent was dropped, and so many bytes were missing later.
    @Test func whatWasSentIsNotDropped() throws {
        var options = ConnectionOptions()
        options.maximumPendingBytes = 9
        options.slowConsumer = .dropOldest
        let text = try heard(.threshold(1), options) { connection in
            connection.send("123456789")
            connection.send("abcdefghi")
        }
        #expect(text == "firstabccabcdefghi")
    }
}
