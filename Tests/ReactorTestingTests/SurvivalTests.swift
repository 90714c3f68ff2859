import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// One fault at a time, as often as can be: the library goes on, and says what it cannot help.
@Suite struct SurvivalTests {
    private final class Log {
        var reasons: [CloseReason] = []
    }

    private struct Echo: ConnectionHandler {
        let log: Log

        mutating func handle(_ event: ConnectionEvent, on connection: Connection) -> NextStep {
            switch event {
            case .received(let bytes):
                connection.send(bytes)
                return .continue
            case .opened, .drained: return .continue
            case .ended, .timedOut: return .close
            case .closed(let reason):
                log.reasons.append(reason)
                return .close
            }
        }
    }

    /// Eight peers that want 3,000 bytes each echoed, over a kernel with these faults: how many of them got all, and why the
    /// connections ended. `faults` is how often the fault of that name came up.
    private func run(
        _ fault: String, silent: Bool = false, _ change: (inout FaultPlan) -> Void
    ) throws -> (complete: Int, reasons: Set<CloseReason>, faults: Int) {
        let text = Bytes((0..<3_000).map { UInt8($0 % 251) })
        var configuration = SimulatedKernel.Configuration()
        change(&configuration.faults)
        configuration.sendBuffer = 512
        configuration.receiveBuffer = 512
        configuration.traceLimit = 1 << 20
        let kernel = SimulatedKernel(seed: 7, configuration: configuration)
        let reactor = try Reactor(kernel: kernel)
        let log = Log()
        let server = try Server(on: .loopback(port: 7_000), reactor: reactor) { _ in Echo(log: log) }
        let peers = try (0..<8).map { _ in try kernel.connect(to: .loopback(port: 7_000)) }
        for peer in peers where !silent {
            peer.onReceive = { peer, _ in
                if peer.received.count == text.count { peer.shutdown() }
            }
            peer.send(text)
        }
        reactor.after(.seconds(60)) {
            server.stop()
            reactor.stop()
        }
        try reactor.run()
        #expect(kernel.inFlightCount == 0)
        for peer in peers { #expect(text.starts(with: peer.received)) }
        let faults = kernel.trace.count { $0.step == .fault(fault) }
        return (peers.count { $0.received == text }, Set(log.reasons), faults)
    }

    @Test func interruptedOperationsAreTriedAgain() throws {
        let (complete, _, faults) = try run("operation interrupted") { $0.interruptedOperation = 0.5 }
        #expect(complete == 8)
        #expect(faults > 20)
    }

    @Test func multishotsThatEndWithNothingAreStartedAgain() throws {
        let (complete, _, faults) = try run("multishot ends with nothing") { $0.emptyMultishotEnd = 0.5 }
        #expect(complete == 8)
        #expect(faults > 8)
    }

    @Test func acceptsThatFindNoPlaceAreTriedAgain() throws {
        let (complete, _, faults) = try run("no descriptor for an accept") { $0.acceptLimit = 0.7 }
        #expect(complete == 8)
        #expect(faults > 4)
    }

    @Test func anAcceptWhoseConnectionIsGoneIsFollowedByTheNext() throws {
        let (complete, _, faults) = try run("accepted connection is gone") { $0.abortedAccept = 0.5 }
        #expect(faults > 0)
        #expect(complete == 8 - faults)
    }

    /// Nobody does anything: the connection only waits for something to receive.
    @Test func aConnectionThatBreaksWhileNothingHappensEnds() throws {
        let (_, reasons, faults) = try run("connection breaks", silent: true) { $0.brokenConnection = 1 }
        #expect(faults == 8)
        #expect(reasons.isSubset(of: [.reset, .timedOut]))
        #expect(reasons.count == 2)
    }

    @Test func aConnectionThatBreaksInTheMiddleEnds() throws {
        let (complete, reasons, faults) = try run("connection breaks") {
            $0.brokenConnection = 0.7
            $0.connectionLife = 1...10_000
            // So that they last.
            $0.lateReadiness = 0.5
            $0.delay = 1...5_000
        }
        #expect(faults > 2)
        #expect(complete < 8)
        #expect(!reasons.isDisjoint(with: [.reset, .brokenPipe, .timedOut]))
    }

    /// The peer's end was seen before the network broke: tcp_reset() says `EPIPE` then, not `ECONNRESET`.
    @Test func aConnectionThatBreaksAfterThePeersEndSaysSo() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (listener, address) = try ring.listener()
        kernel.faults.brokenConnection = 1
        kernel.faults.connectionLife = 1_000_000...1_000_000
        var results: Set<Int32> = []
        for number in UInt64(0)..<20 {
            let peer = try kernel.connect(to: address)
            ring.accept(100 + number, listener)
            let socket = FileDescriptor(rawValue: ring.result(100 + number))
            if number % 2 == 0 { peer.shutdown() }
            kernel.advance(by: .milliseconds(2))
            ring.send(200 + number, socket, ring.buffer("x"))
            ring.enter()
            ring.send(300 + number, socket, ring.buffer("x"))
            results.insert(ring.result(300 + number))
            kernel.close(socket)
        }
        #expect(results.contains(-EPIPE))
    }

    @Test func socketOptionsAreSetInTheSameOrderInEveryProcess() throws {
        let kernel = SimulatedKernel()
        let reactor = try Reactor(kernel: kernel)
        var configuration = ServerConfiguration()
        for option in [SocketOption.keepAlive, .sendBuffer, .receiveBuffer, .reusePort] {
            configuration.socketOptions[option] = 5_000
        }
        let server = try Server(on: .loopback(port: 7_000), configuration: configuration, reactor: reactor) { _ in
            Echo(log: Log())
        }
        reactor.connect(
            to: .loopback(port: 7_000), socketOptions: configuration.socketOptions, handler: Echo(log: Log()))
        reactor.after(.seconds(1)) {
            server.stop()
            reactor.stop()
        }
        try reactor.run()
        let set = kernel.trace.map(\.description).compactMap { line in
            line.firstRange(of: " setOption 1,").map { Int(line[$0.upperBound...].prefix { $0 != " " }) ?? 0 }
        }
        // SO_REUSEADDR is the server's own.
        let expected = [SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_REUSEPORT].map(Int.init)
        #expect(set == [Int(SO_REUSEADDR)] + expected + expected)
    }

    /// In two processes, whose hash seeds and addresses differ.
    @Test func theSameSeedGivesTheSameTraceInAnyProcess() async throws {
        let first = try await #require(
            processExitsWith: .success, observing: [\.standardOutputContent], performing: SurvivalTests.printTrace)
        let second = try await #require(
            processExitsWith: .success, observing: [\.standardOutputContent], performing: SurvivalTests.printTrace)
        #expect(first.standardOutputContent.count > 10_000)
        // Compared here, for an expectation that fails prints both.
        let isSame = first.standardOutputContent == second.standardOutputContent
        #expect(isSame)
    }

    private static let printTrace: @Sendable () async throws -> Void = {
        for seed in UInt64(1)...5 {
            var configuration = SimulatedKernel.Configuration()
            configuration.faults = .nasty(seed: seed)
            configuration.sendBuffer = 1_024
            configuration.receiveBuffer = 1_024
            let kernel = SimulatedKernel(seed: seed, configuration: configuration)
            let reactor = try Reactor(kernel: kernel)
            let log = Log()
            let server = try Server(on: .loopback(port: 7_000), reactor: reactor) { _ in Echo(log: log) }
            for number in 0..<8 {
                kernel.schedule(after: .microseconds(10 * number)) { [unowned kernel] in
                    guard let peer = try? kernel.connect(to: .loopback(port: 7_000)) else { return }
                    peer.onReceive = { peer, _ in if peer.received.count == 5_000 { peer.shutdown() } }
                    peer.send(Bytes([UInt8](repeating: 7, count: 5_000)))
                }
            }
            reactor.after(.seconds(60)) {
                server.stop()
                reactor.stop()
            }
            try reactor.run()
            print("trace of seed \(seed)")
            for event in kernel.trace { print(event) }
        }
    }

    /// Nobody has asked for its end, so it goes on, whatever the kernel's reasons were.
    @Test func anAcceptThatNobodyCancelledGoesOn() throws {
        let simulation = try Simulation()
        let reactor = simulation.reactor
        let listener = try simulation.kernel.socket(.ipv4)
        try simulation.kernel.bind(listener, to: .loopback(port: 7_000))
        try simulation.kernel.listen(listener, backlog: 8)
        var results: [Result<FileDescriptor, IOError>] = []
        simulation.kernel.completeNext(.accept, with: .canceled)
        let token = reactor.acceptMultishot(on: listener) { results.append($0) }
        try simulation.advance(by: .seconds(1))
        #expect(results.isEmpty)
        let peer = try simulation.connect(to: .loopback(port: 7_000))
        try simulation.run(until: { results.count == 1 })
        reactor.close(try #require(try? results[0].get())) { _ in }
        try simulation.run(until: { peer.sawEnd })
        // This one was asked for.
        reactor.cancel(token)
        try simulation.run(until: { results.count == 2 })
        #expect(throws: IOError.self) { try results[1].get() }
        reactor.close(listener) { _ in }
        try simulation.advance(by: .seconds(1))
        try simulation.finish()
    }

    /// The next one finds it.
    @Test func aCancelThatFindsNothingIsSentAgain() throws {
        var faults = FaultPlan.none
        faults.missedCancel = 0.9
        let simulation = try Simulation(seed: 3, faults: faults)
        let listener = try simulation.kernel.socket(.ipv4)
        try simulation.kernel.bind(listener, to: .loopback(port: 7_000))
        try simulation.kernel.listen(listener, backlog: 8)
        var error: IOError?
        let token = simulation.reactor.accept(on: listener) { result in
            if case .failure(let failure) = result { error = failure }
        }
        try simulation.advance(by: .milliseconds(1))
        #expect(simulation.reactor.cancel(token))
        try simulation.run(until: { error != nil })
        #expect(error?.errno == .canceled)
        #expect(simulation.kernel.trace.count { $0.step == .fault("missed cancel") } > 1)
        simulation.reactor.close(listener) { _ in }
        try simulation.finish()
    }

    @Test func aConnectWithoutADescriptorSaysSo() throws {
        var faults = FaultPlan.none
        faults.socketLimit = 1
        let simulation = try Simulation(faults: faults)
        let listener = simulation.listen(on: .loopback(port: 80))
        var results: [Result<Connection, IOError>] = []
        simulation.reactor.after(.zero) {
            simulation.reactor.connect(to: listener.address) { results.append($0) }
        }
        try simulation.run(until: { results.count == 1 })
        guard case .failure(let error) = results[0] else { return #expect(Bool(false)) }
        #expect(error.errno == .tooManyOpenFiles)
        simulation.kernel.faults.socketLimit = 0
        simulation.reactor.connect(to: listener.address) { results.append($0) }
        try simulation.run(until: { results.count == 2 })
        #expect(throws: Never.self) { try results[1].get() }
        try simulation.finish()
    }
}
