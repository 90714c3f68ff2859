import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// The library itself on the simulated kernel.
@Suite struct ReactorTests {
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

    @Test func aHandlerIsTestedInTenLines() throws {
        let kernel = SimulatedKernel(seed: 1)
        let reactor = try Reactor(kernel: kernel)
        let server = try Server(on: .loopback(port: 7_000), reactor: reactor) { _ in Echo() }
        let peer = try kernel.connect(to: .loopback(port: 7_000))
        peer.onReceive = { peer, _ in
            if peer.received.count == 11 { peer.shutdown() }
        }
        peer.onEnd = { _ in
            server.stop()
            reactor.stop()
        }
        peer.send("hello world")
        try reactor.run()
        #expect(peer.received == "hello world")
        #expect(peer.sawEnd)
        #expect(kernel.inFlightCount == 0)
    }

    @Test func anHourPassesInNoTime() throws {
        let kernel = SimulatedKernel()
        let reactor = try Reactor(kernel: kernel)
        let start = kernel.now()
        reactor.after(.seconds(3_600)) { reactor.stop() }
        try reactor.run()
        #expect(kernel.now() - start >= 3_600_000_000_000)
    }

    /// Echoes through every fault. A stream that arrives is the one that was sent; at the end nothing is left.
    @Test func anEchoServerSurvives() throws {
        let text = Bytes((0..<5_000).map { UInt8($0 % 251) })
        var complete = 0
        var violations: [String] = []
        for seed in UInt64(0)..<100 {
            var configuration = SimulatedKernel.Configuration()
            configuration.faults = .nasty(seed: seed)
            configuration.ringIndexStart = seed % 2 == 0 ? 0 : .max - 50
            configuration.sendBuffer = 1_024
            configuration.receiveBuffer = 1_024
            let kernel = SimulatedKernel(seed: seed, configuration: configuration)
            kernel.onViolation = { [unowned kernel] in violations.append("seed \(seed): \($0)\n\(kernel.state)") }
            let reactor = try Reactor(kernel: kernel)
            let server = try Server(on: .loopback(port: 7_000), reactor: reactor) { _ in Echo() }
            var peers: [SimulatedPeer] = []
            for number in 0..<8 {
                kernel.schedule(after: .microseconds(10 * number)) { [unowned kernel] in
                    guard let peer = try? kernel.connect(to: .loopback(port: 7_000)) else { return }
                    peers.append(peer)
                    peer.send(text)
                    peer.onReceive = { peer, _ in
                        if peer.received.count == text.count { peer.shutdown() }
                    }
                }
            }
            reactor.after(.seconds(60)) {
                server.stop()
                reactor.stop()
            }
            try reactor.run()
            for peer in peers {
                #expect(text.starts(with: peer.received), "seed \(seed)")
                if peer.received == text { complete += 1 }
                peer.close()
            }
            #expect(kernel.inFlightCount == 0, "seed \(seed)")
        }
        #expect(complete > 100)
        // A drain that does not wait for its own cancel of everything is caught here, at seed 26 among others.
        #expect(violations.isEmpty)
    }

    /// One that is let go of while it is paused is nobody. What was allocated for it leaks, but nothing of it is used again;
    /// here, where nobody looks for leaks.
    @Test func aPausedReactorThatIsLetGoOf() throws {
        do {
            let reactor = try Reactor()
            reactor.pause()
            try reactor.run()
            #expect(Reactor.current === reactor)
        }
        #expect(Reactor.current == nil)
    }
}
