import SystemPackage
import Testing

@testable import UringReactor

@Suite(.timeLimit(.minutes(20))) struct BatchingPolicyTests {
    @Test func descriptions() {
        #expect("\(BatchingPolicy.turn)" == "turn")
        #expect("\(BatchingPolicy.threshold(32))" == "threshold(32)")
    }

    @Test func aTurnIsOneEnter() throws {
        let kernel = FaultyKernel()
        kernel.records = true
        let reactor = try Reactor.quiet(kernel: kernel)
        reactor.nop { _ in for _ in 0..<100 { reactor.nop { _ in } } }
        try reactor.runToIdle()
        #expect(kernel.requests.count { $0.submit == 100 } == 1)
        #expect(kernel.requests.count <= 5)
    }

    @Test func aThresholdSubmitsInTheMiddleOfATurn() throws {
        let kernel = FaultyKernel()
        kernel.records = true
        let reactor = try Reactor.quiet(kernel: kernel) { $0.batching = .threshold(10) }
        var enters: [Int] = []
        var done = 0
        reactor.nop { _ in
            for number in 0..<25 {
                let before = kernel.requests.count
                reactor.nop { _ in done += 1 }
                if kernel.requests.count > before { enters.append(number) }
            }
        }
        try reactor.runToIdle()
        #expect(enters == [9, 19])
        #expect(done == 25)
    }

    /// What is below the threshold still goes out: with the wait, when nothing completes any more.
    @Test func aThresholdThatIsNotReachedWaitsForNothing() throws {
        let reactor = try Reactor.quiet { $0.batching = .threshold(1000) }
        var hops = 0
        func hop() {
            hops += 1
            if hops < 100 { reactor.nop { _ in hop() } }
        }
        hop()
        try reactor.runToIdle()
        #expect(hops == 100)
        #expect(reactor.statistics.waits > 0)
    }

    @Test(arguments: [BatchingPolicy.turn, .threshold(1), .threshold(3), .threshold(64)])
    func everyPolicyDoesAllOfIt(policy: BatchingPolicy) throws {
        let reactor = try Reactor.quiet {
            $0.batching = policy
            $0.submissionEntries = 16
        }
        let pair = try SocketPair()
        var rounds = 0
        func ping() {
            reactor.send("ping", to: pair.left) { _ in }
            reactor.receive(from: pair.right) { result in
                let bytes = try result.get()
                #expect(bytes == "ping")
                rounds += 1
                if rounds < 50 { ping() }
            }
        }
        ping()
        try reactor.runToIdle()
        #expect(rounds == 50)
    }
}
