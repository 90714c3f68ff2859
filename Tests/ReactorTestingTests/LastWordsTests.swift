import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// A send fails because the connection is no more: what the peer said before is still there to be read.
@Suite struct LastWordsTests {
    private final class Notes {
        var heard = ""
        var connection: Connection?
        var reason: CloseReason?
        var sawEnd = false
    }

    private struct Listener: ConnectionHandler {
        let notes: Notes

        mutating func handle(_ event: ConnectionEvent, on connection: Connection) -> NextStep {
            switch event {
            case .opened: notes.connection = connection
            case .received(let bytes):
                notes.heard += String(bytes)
                if notes.heard == "one" { connection.pauseReading() }
            case .ended:
                notes.sawEnd = true
                return .close
            case .closed(let reason): notes.reason = reason
            case .drained, .timedOut: break
            }
            return .continue
        }
    }

    @Test(arguments: [Errno.connectionReset, .brokenPipe, .timedOut])
    func areHeard(_ errno: Errno) throws {
        let kernel = SimulatedKernel()
        let reactor = try Reactor(kernel: kernel)
        let notes = Notes()
        let server = try Server(on: .loopback(port: 7_000), reactor: reactor) { _ in Listener(notes: notes) }
        let peer = try kernel.connect(to: .loopback(port: 7_000))
        peer.send("one")
        kernel.schedule(after: .milliseconds(1)) { peer.send("two") }
        reactor.after(.milliseconds(2)) {
            kernel.completeNext(.send, with: errno)
            notes.connection?.send("x")
        }
        reactor.after(.milliseconds(3)) { notes.connection?.resumeReading() }
        kernel.schedule(after: .milliseconds(4)) { peer.shutdown() }
        reactor.after(.seconds(1)) {
            server.stop()
            reactor.stop()
        }
        try reactor.run()
        #expect(notes.heard == "onetwo")
        #expect(notes.reason != nil)
        // An end means what it says if the peer merely reads no more. After a reset it is none: bytes may be missing.
        #expect(notes.sawEnd == (errno == .brokenPipe))
    }

    @Test(arguments: [Errno.connectionReset, .brokenPipe, .timedOut])
    func anEndAfterAResetIsNone(_ errno: Errno) throws {
        let simulation = try Simulation()
        var connection: Connection?
        let server = try Server(on: .loopback(port: 7_000), reactor: simulation.reactor) { connection = $0 }
        let peer = try simulation.connect(to: server.address)
        try simulation.run(until: { connection != nil })
        var results: [Result<Bytes?, IOError>] = []
        func receive() {
            connection?.receive { result in
                results.append(result)
                if case .success(_?) = result { receive() }
            }
        }
        receive()
        simulation.kernel.completeNext(.send, with: errno)
        connection?.send("x")
        try simulation.advance(by: .milliseconds(1))
        peer.send("last words")
        peer.shutdown()
        try simulation.run(until: { results.count == 2 })
        #expect(try results[0].get() == "last words")
        switch results[1] {
        case .success(let bytes): #expect(bytes == nil && errno == .brokenPipe)
        case .failure(let error): #expect(error.errno == errno && errno != .brokenPipe)
        }
        results = []
        try simulation.finish()
    }
}
