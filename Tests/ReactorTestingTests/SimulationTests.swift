import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// What a user of the library tests his handlers with.
@Suite struct SimulationTests {
    struct Echo: ConnectionHandler {
        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            switch event {
            case .received(let bytes):
                connection.send(bytes)
                return .continue
            case .opened, .drained, .closed: return .continue
            case .ended, .timedOut: return .close
            }
        }
    }

    /// Keeps what it hears.
    final class Hoarder: ConnectionHandler {
        var heard: [Bytes] = []
        func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            if case .received(let bytes) = event { heard.append(bytes) }
            return .continue
        }
    }

    @Test(arguments: UInt64(1)...20) func aHandlerIsTestedInTenLines(seed: UInt64) throws {
        var faults = FaultPlan.nasty(seed: seed)
        faults.spareConnections()
        let simulation = try Simulation(seed: seed, faults: faults)
        let server = try Server(on: .loopback(port: 7_000), reactor: simulation.reactor) { _ in Echo() }
        let peer = try simulation.connect(to: server.address)
        peer.send("hello")
        try simulation.run(until: { peer.received == "hello" })
        peer.shutdown()
        try simulation.run(until: { peer.sawEnd })
        try simulation.finish()
    }

    @Test func timePassesWhenTheTestSaysSo() throws {
        let simulation = try Simulation()
        var configuration = ServerConfiguration()
        configuration.connection.idleTimeout = .seconds(3_600)
        let server = try Server(on: .loopback(port: 7_000), configuration: configuration, reactor: simulation.reactor) {
            _ in Echo()
        }
        let peer = try simulation.connect(to: server.address)
        let start = simulation.kernel.now()
        try simulation.advance(by: .seconds(3_599))
        #expect(!peer.sawEnd)
        #expect(server.connectionCount == 1)
        try simulation.advance(by: .seconds(2))
        #expect(peer.sawEnd)
        #expect(simulation.kernel.now() - start == 3_601_000_000_000)
        try simulation.finish()
    }

    /// Between two calls a test uses the reactor as a handler would.
    @Test func theReactorIsPausedInBetween() throws {
        let simulation = try Simulation()
        let listener = simulation.listen(on: .loopback(port: 80))
        var connection: Connection?
        simulation.reactor.connect(to: listener.address) { connection = try $0.get() }
        try simulation.run(until: { connection != nil })
        #expect(simulation.reactor.isPaused)
        let peer = try #require(listener.accept())
        connection?.send("one")
        #expect(peer.received.isEmpty)
        try simulation.advance(by: .milliseconds(1))
        #expect(peer.received == "one")
        connection?.close()
        try simulation.run(until: { peer.sawEnd })
        try simulation.finish()
    }

    @Test func whatIsNotSoInTimeIsAFailure() throws {
        let simulation = try Simulation(seed: 9)
        let server = try Server(on: .loopback(port: 7_000), reactor: simulation.reactor) { _ in Echo() }
        let peer = try simulation.connect(to: server.address)
        let start = simulation.kernel.now()
        let failure = #expect(throws: SimulationFailure.self) {
            try simulation.run(until: { peer.received == "never sent" }, within: .seconds(5))
        }
        #expect(failure?.seed == 9)
        #expect(failure?.texts == ["not so within 5.0 seconds"])
        #expect(failure?.state.contains("recv") == true)
        #expect(simulation.kernel.now() - start == 5_000_000_000)
        try simulation.finish()
    }

    /// The time it was seen at, not the time at which something else happened next.
    @Test func aConditionIsSeenAtOnce() throws {
        let simulation = try Simulation()
        var isTrue = false
        simulation.kernel.schedule(after: .milliseconds(3)) { isTrue = true }
        let start = simulation.kernel.now()
        try simulation.run(until: { isTrue })
        #expect(simulation.kernel.now() - start == 3_000_000)
        try simulation.finish()
    }

    @Test func aSliceThatIsKeptIsLeft() throws {
        let simulation = try Simulation()
        let hoarder = Hoarder()
        let server = try Server(on: .loopback(port: 7_000), reactor: simulation.reactor) { _ in hoarder }
        try simulation.connect(to: server.address).send("mine")
        try simulation.run(until: { !hoarder.heard.isEmpty })
        let failure = #expect(throws: SimulationFailure.self) { try simulation.finish() }
        #expect(failure?.texts == ["left at the end: 1 receive buffers, held by slices of what was received"])
    }

    @Test func aLoopThatTurnsWithoutEndIsAFailure() throws {
        let simulation = try Simulation()
        simulation.kernel.enterLimit = 1_000
        func again() { simulation.reactor.nop { _ in again() } }
        again()
        let failure = #expect(throws: SimulationFailure.self) { try simulation.advance(by: .seconds(60)) }
        #expect(failure?.texts.first == "more than 1000 enters: the loop turns without end, or enterLimit is too low")
    }

    /// One that makes no system call, as its timers are due again and again, is paused too.
    @Test func timersThatAreDueAtOnceLetTimePass() throws {
        let simulation = try Simulation()
        var turns = 0
        func again() {
            turns += 1
            if turns < 1_000_000 { simulation.reactor.after(.zero) { again() } }
        }
        again()
        try simulation.advance(by: .milliseconds(100))
        #expect(turns < 1_000_000)
        try simulation.finish()
    }

    @Test func aFailureSaysWhereItWasAndWhatPeersHaveReceived() throws {
        let simulation = try Simulation(seed: 7)
        let server = try Server(on: .loopback(port: 7_000), reactor: simulation.reactor) { _ in Echo() }
        let peer = try simulation.connect(to: server.address)
        peer.send("hello")
        peer.shutdown()
        let line: UInt = #line + 1
        func wait() throws { try simulation.run(until: { peer.received == "HELLO" }) }
        let failure = #expect(throws: SimulationFailure.self) { try wait() }
        #expect(failure?.place == "ReactorTestingTests/SimulationTests.swift:\(line)")
        let lines = failure?.description.split(separator: "\n") ?? []
        #expect(lines.first == "seed 7, ReactorTestingTests/SimulationTests.swift:\(line): not so within 60.0 seconds")
        #expect(lines.dropFirst().first == "peer 1: open, has seen the end, 0 unsent, 0 unread, 5 received: \"hello\"")
        try simulation.finish()
    }

    /// Each turn does something, but nothing that gets anybody further.
    @Test func aLoopThatShouldWaitIsAFailure() throws {
        let simulation = try Simulation()
        let server = try Server(on: .loopback(port: 7_000), reactor: simulation.reactor) { _ in Echo() }
        let peer = try simulation.connect(to: server.address)
        peer.pauseReading()
        let descriptor = try simulation.kernel.socket(.ipv4)
        func again() { simulation.reactor.poll(descriptor, for: .writable) { _ in again() } }
        again()
        let failure = #expect(throws: SimulationFailure.self) { try simulation.advance(by: .seconds(60)) }
        #expect(failure?.texts.first?.contains("the loop should wait") == true)
        #expect(simulation.kernel.enters < 20_000)
    }

    /// A reactor that has ended takes no part in what comes.
    @Test func aReactorThatStops() throws {
        let simulation = try Simulation()
        simulation.reactor.after(.seconds(1)) { simulation.reactor.stop() }
        #expect(throws: SimulationFailure.self) { try simulation.run(until: { false }) }
        let start = simulation.kernel.now()
        try simulation.advance(by: .seconds(1))
        #expect(simulation.kernel.now() - start == 1_000_000_000)
        try simulation.finish()
    }

    /// Time that a reactor does not live to see passes all the same.
    @Test func aReactorThatStopsMeanwhile() throws {
        let simulation = try Simulation()
        simulation.reactor.after(.seconds(1)) { simulation.reactor.stop() }
        var isDone = false
        simulation.kernel.schedule(after: .seconds(3)) { isDone = true }
        let start = simulation.kernel.now()
        try simulation.advance(by: .seconds(5))
        #expect(simulation.kernel.now() - start == 5_000_000_000)
        #expect(isDone)
        try simulation.finish()
    }

    /// Neither the reactor nor the call that is under way is any the worse for it.
    @Test func noCallFromWithinAnother() throws {
        let simulation = try Simulation()
        var failures: [String] = []
        var isTrue = false
        simulation.reactor.after(.seconds(1)) {
            do throws(SimulationFailure) {
                try simulation.run(until: { true })
            } catch {
                failures += error.texts
            }
        }
        simulation.kernel.schedule(after: .seconds(2)) { isTrue = true }
        let start = simulation.kernel.now()
        try simulation.run(until: { isTrue })
        #expect(failures == ["time was to pass from within what happens in it"])
        #expect(simulation.kernel.now() - start == 2_000_000_000)
        try simulation.finish()
    }

    /// Twice the same, in every step.
    @Test(arguments: UInt64(1)...5) func theSameSeedDoesTheSame(seed: UInt64) throws {
        func run() throws -> [String] {
            var steps: [String] = []
            let simulation = try Simulation(seed: seed, faults: .nasty(seed: seed))
            simulation.kernel.onTrace = { steps.append("\($0)") }
            let server = try Server(on: .loopback(port: 7_000), reactor: simulation.reactor) { _ in Echo() }
            let peers = try (0..<3).map { _ in try simulation.connect(to: server.address) }
            for peer in peers { peer.send("hello") }
            try simulation.advance(by: .seconds(1))
            try simulation.finish()
            return steps
        }
        let first = try run()
        #expect(first.count > 50)
        #expect(try run() == first)
    }
}
