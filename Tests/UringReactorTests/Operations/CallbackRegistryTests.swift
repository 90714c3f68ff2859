import SystemPackage
import Testing

@testable import UringReactor

@Suite(.timeLimit(.minutes(20))) struct CallbackRegistryTests {
    @Test func theRegistryGrowsFromWithinACallback() throws {
        let reactor = try Reactor.quiet()
        var calls = 0
        reactor.nop { _ in
            for _ in 0..<5000 {
                reactor.nop { _ in
                    calls += 1
                    reactor.nop { _ in calls += 1 }
                }
            }
        }
        try reactor.runToIdle()
        #expect(calls == 10_000)
        #expect(reactor.statistics.operationsHighWaterMark >= 5000)
    }

    @Test func aMultishotCallbackMayGrowTheRegistryAndCancelItself() throws {
        let reactor = try Reactor.quiet()
        let waker = try eventDescriptor()
        var (events, last, nops) = (0, 0, 0)
        var token = OperationToken.none
        token = reactor.pollMultishot(waker.descriptor, for: .readable) { result in
            guard case .success = result else { return last += 1 }
            events += 1
            for _ in 0..<1000 { reactor.nop { _ in nops += 1 } }
            if events == 3 { reactor.cancel(token) } else { waker.wake() }
        }
        waker.wake()
        try reactor.runToIdle()
        waker.close()
        #expect(events == 3 && last == 1 && nops == 3000)
    }

    @Test func stopFromWithinACallback() throws {
        let reactor = try Reactor.quiet()
        var later = 0
        reactor.nop { _ in
            reactor.stop()
            reactor.nop { _ in later += 1 }
        }
        try reactor.run()
        #expect(later == 1)
    }

    @Test func nestingAsDeepAsOneLikes() throws {
        let reactor = try Reactor.quiet()
        var depth = 0
        func deeper() {
            depth += 1
            if depth < 10_000 { reactor.nop { _ in deeper() } }
        }
        deeper()
        try reactor.runToIdle()
        #expect(depth == 10_000)
        #expect(reactor.statistics.operationsHighWaterMark == 1)
    }

    @Test func whatTheLimitRefusesIsToldOnALaterTurn() throws {
        let reactor = try Reactor.quiet { $0.maximumOperations = 2 }
        let outcomes = (0..<5).map { _ in Outcomes<Void>() }
        for outcome in outcomes {
            let token = reactor.nop(outcome.note)
            #expect(outcome.count == 0)
            if outcome === outcomes[3] { #expect(!reactor.cancel(token)) }
        }
        try reactor.runToIdle()
        #expect(outcomes.map(\.count) == [1, 1, 1, 1, 1])
        #expect(outcomes.map(\.errors.count) == [0, 0, 1, 1, 1])
        #expect(outcomes[4].onlyError?.description
            == "no-op failed: no buffer or operation slot is left (ENOBUFS)")
    }

    /// What a callback has captured goes when it has been called, not when its slot is used again.
    @Test func capturesAreReleased() throws {
        final class Token {}
        let reactor = try Reactor.quiet()
        weak var captured: Token?
        do {
            let token = Token()
            captured = token
            reactor.nop { _ in _ = token }
        }
        #expect(captured != nil)
        reactor.nop { _ in #expect(captured == nil) }
        try reactor.runToIdle()
    }

    /// A capture that starts an operation as it goes.
    @Test func aDeinitMayStartAnOperation() throws {
        final class Closing {
            let reactor: Reactor
            let descriptor: FileDescriptor
            init(_ reactor: Reactor, _ descriptor: FileDescriptor) {
                (self.reactor, self.descriptor) = (reactor, descriptor)
            }
            deinit { reactor.close(descriptor) }
        }
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        for _ in 0..<300 {
            let closing = Closing(reactor, try pipe.reader.duplicate())
            reactor.nop { _ in _ = closing }
        }
        try reactor.runToIdle()
        #expect(reactor.statistics.completedByKind[.close] == 300)
    }

    /// Buffers belong to the operation: what the caller drops lives until the kernel has let go of it.
    @Test func bytesLiveUntilTheLastCompletion() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair(buffer: 4096)
        let expected = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        var sent = 0
        reactor.send(Bytes(expected), to: pair.left) { sent = try $0.get() }
        var received: [UInt8] = []
        func receive() {
            reactor.receive(from: pair.right, upTo: 5000) { result in
                received += try result.get()
                if received.count < expected.count { receive() }
            }
        }
        receive()
        try reactor.runToIdle()
        #expect(sent == expected.count)
        #expect(received == expected)
    }

    /// Completions that nobody knows are counted and dropped.
    @Test func staleCompletionsAreDropped() throws {
        let reactor = try Reactor.quiet()
        let (one, two) = (Outcomes<Void>(), Outcomes<Void>())
        let token = reactor.nop(one.note)
        reactor.registry.complete(Completion(userData: token.rawValue, result: 0, flags: 0), token)
        #expect(one.count == 1)
        let reused = reactor.nop(two.note)
        #expect(reused.slot == token.slot)
        reactor.registry.complete(Completion(userData: token.rawValue, result: 0, flags: 0), token)
        reactor.registry.completeCancel(OperationToken(.cancel, slot: token.slot, generation: token.generation), result: 0)
        #expect(two.count == 0)
        #expect(reactor.statistics.staleCompletions == 2)
    }

    @Test func interruptedOperationsAreStartedAgain() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        let outcomes = Outcomes<Bytes>()
        let token = reactor.receive(from: pair.left, outcomes.note)
        reactor.registry.complete(Completion(userData: token.rawValue, result: -4, flags: 0), token)
        #expect(outcomes.count == 0)
        #expect(reactor.statistics.retries == 1)
        #expect(reactor.statistics.startedByKind[.receive] == 2)
    }

    @Test func tokensPrint() {
        #expect("\(OperationToken(.callback, slot: 7, generation: 2))" == "callback 7 (generation 2)")
        #expect("\(OperationToken.none)" == "none 0 (generation 0)")
        let token = OperationToken(.cancel, slot: .max, generation: .max)
        #expect(token.kind == .cancel && token.slot == .max && token.generation == 0xff_ffff)
    }
}
