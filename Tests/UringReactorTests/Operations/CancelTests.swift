import Glibc
import SystemPackage
import Testing

@testable import UringReactor

/// The three ends of an operation that never ends by itself: a cancel, its timeout, the stop of the reactor.
@Suite(.timeLimit(.minutes(20))) struct CancelTests {
    @Test(arguments: Waiting.allCases) func byToken(operation: Waiting) throws {
        let (still, reactor) = (try Standstill(), try Reactor.quiet())
        let token = still.start(operation, on: reactor)
        reactor.after(.milliseconds(1)) {
            #expect(still.calls == 0)
            #expect(reactor.cancel(token))
            #expect(!reactor.cancel(token))
        }
        try reactor.runToIdle()
        #expect(still.calls == 1)
        #expect(still.error?.errno == .canceled)
        #expect(still.error?.description.hasSuffix("failed: it was cancelled (ECANCELED)") == true)
        #expect(!reactor.cancel(token))
    }

    /// Before the kernel has heard of the operation at all.
    @Test(arguments: Waiting.allCases) func inTheSameTurn(operation: Waiting) throws {
        let (still, reactor) = (try Standstill(), try Reactor.quiet { $0.submissionEntries = 2 })
        let token = still.start(operation, on: reactor)
        #expect(reactor.cancel(token))
        try reactor.runToIdle()
        #expect(still.calls == 1)
        #expect(still.error?.errno == .canceled)
    }

    @Test(arguments: Waiting.allCases.filter { $0 != .timeout }) func byDescriptor(operation: Waiting) throws {
        let (still, reactor) = (try Standstill(), try Reactor.quiet())
        let descriptor = try #require(still.descriptor(of: operation))
        let counts = Outcomes<Int>()
        _ = still.start(operation, on: reactor)
        reactor.after(.milliseconds(1)) { reactor.cancelAll(on: descriptor, counts.note) }
        try reactor.runToIdle()
        #expect(still.calls == 1)
        #expect(still.error?.errno == .canceled)
        // A write whose first part has just been taken, and counted, is not in the kernel at that moment.
        #expect(counts.onlyValue == 1 || operation == .write && counts.onlyValue == 0)
    }

    @Test(arguments: Waiting.timed) func byItsTimeout(operation: Waiting) throws {
        let (still, reactor) = (try Standstill(), try Reactor.quiet())
        let start = reactor.core.kernel.now()
        _ = still.start(operation, on: reactor, timeout: .milliseconds(5))
        try reactor.runToIdle()
        #expect(reactor.core.kernel.now() - start >= 5_000_000)
        #expect(still.calls == 1)
        #expect(still.error?.isTimeout == true)
        #expect(still.error?.description.hasSuffix("failed: it did not finish in time (ETIMEDOUT)") == true)
        // The time was kept without the kernel.
        #expect(reactor.statistics.startedByKind[.timeout] == 0)
    }

    /// Cancelled first and timed out later is cancelled.
    @Test func aCancelBeforeTheTimeoutIsACancel() throws {
        let (still, reactor) = (try Standstill(), try Reactor.quiet())
        let token = still.start(.receive, on: reactor, timeout: .milliseconds(1))
        reactor.cancel(token)
        reactor.after(.milliseconds(3)) {}
        try reactor.runToIdle()
        #expect(still.error?.errno == .canceled)
    }

    @Test(arguments: Waiting.allCases) func byTheStop(operation: Waiting) throws {
        let (still, reactor) = (try Standstill(), try Reactor.quiet())
        _ = still.start(operation, on: reactor)
        reactor.after(.milliseconds(1)) { reactor.stop() }
        try reactor.run()
        #expect(still.calls == 1)
        #expect(still.error?.errno == .canceled)
        #expect(reactor.statistics.operations == 0)
    }

    @Test func aTimeoutOfWhatHasEndedIsHarmless() throws {
        let kernel = FaultyKernel()
        let reactor = try Reactor.quiet(kernel: kernel)
        let pair = try SocketPair()
        let outcomes = Outcomes<Bytes>()
        reactor.receive(from: pair.left, timeout: .seconds(60)) {
            outcomes.note($0)
            // Two minutes pass at once, so that both deadlines come due, of operations that have ended.
            reactor.after(.seconds(90)) {}
            kernel.clockOffset += 120_000_000_000
        }
        reactor.send("x", to: pair.right, timeout: .seconds(60)) { _ in }
        try reactor.runToIdle()
        #expect(outcomes.onlyValue == "x")
        #expect(reactor.statistics.startedByKind[.cancel] == 1) // The end's.
    }

    /// The cancel is sent in the turn in which the operation's completion lies in the queue already.
    @Test func aCancelThatComesTooLate() throws {
        let reactor = try Reactor.quiet()
        let outcomes = Outcomes<Void>()
        var token = OperationToken.none
        reactor.nop { _ in #expect(reactor.cancel(token)) }
        token = reactor.nop(outcomes.note)
        try reactor.runToIdle()
        #expect(outcomes.onlyValue != nil)
        #expect(!reactor.cancel(token))
    }

    @Test func staleTokensHitNobody() throws {
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        var old: [OperationToken] = []
        let outcomes = Outcomes<PollEvents>()
        old.append(
            reactor.nop { _ in
                // In the slot that the no-op has just left.
                let new = reactor.poll(pipe.reader, for: .readable, outcomes.note)
                #expect(new.slot == old[0].slot && new.generation == old[0].generation + 1)
                #expect(!reactor.cancel(old[0]))
                reactor.after(.milliseconds(1)) {
                    #expect(!reactor.cancel(old[0]))
                    _ = try pipe.writer.writeAll("x".utf8)
                }
            })
        try reactor.runToIdle()
        #expect(outcomes.onlyValue == .readable)
        #expect(!reactor.cancel(.none))
        #expect(!reactor.cancel(OperationToken(.callback, slot: 100_000, generation: 0)))
        #expect(!reactor.cancel(OperationToken(.receive, slot: 0, generation: 0)))
    }

    /// The slot is not given away before both completions have come, the operation's and the cancel's.
    @Test func bothCompletionsAreAwaited() throws {
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        for _ in 0..<1000 {
            let token = reactor.poll(pipe.reader, for: .readable) { result in
                #expect(throws: IOError.self) { try result.get() }
                let next = reactor.nop { _ in }
                #expect(reactor.statistics.operations > 1)
                _ = next
            }
            reactor.cancel(token)
        }
        try reactor.runToIdle()
        let statistics = reactor.statistics
        #expect(statistics.completedByKind[.poll] == 1000)
        #expect(statistics.completedByKind[.nop] == 1000)
        #expect(statistics.completedByKind[.cancel] == 1001)
    }

    @Test func aCallbackMayCancelAnotherThatIsDueToo() throws {
        let reactor = try Reactor.quiet()
        let (first, second) = (Outcomes<Void>(), Outcomes<Void>())
        var tokens: [OperationToken] = []
        for outcomes in [first, second] {
            tokens.append(
                reactor.nop { result in
                    outcomes.note(result)
                    for token in tokens { reactor.cancel(token) }
                })
        }
        try reactor.runToIdle()
        #expect(first.count == 1 && second.count == 1)
    }

    /// A part was sent when it was cancelled: the rest must not be sent all the same.
    @Test func aCancelByDescriptorEndsAPartialSend() throws {
        let (still, reactor) = (try Standstill(), try Reactor.quiet())
        let outcomes = Outcomes<Int>()
        reactor.send(Standstill.large, to: still.pair.left, outcomes.note)
        reactor.after(.milliseconds(1)) { reactor.cancelAll(on: still.pair.left) }
        // Ends by itself, or not at all.
        try reactor.runToIdle()
        #expect(outcomes.onlyError?.errno == .canceled)
    }

    /// The descriptor was closed, so nothing on it is found; its token still is.
    @Test func byTokenAfterAVainCancelByDescriptor() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        // A high number, which the tests beside this one do not get when it is free again.
        let alias = FileDescriptor(rawValue: fcntl(pair.left.rawValue, F_DUPFD, 900))
        let (received, counts) = (Outcomes<Bytes>(), Outcomes<Int>())
        let token = reactor.receive(from: alias, received.note)
        reactor.after(.milliseconds(1)) {
            try alias.close()
            reactor.cancelAll(on: alias) { result in
                counts.note(result)
                // Or it has ended, on a slow machine: a cancel that found nothing is sent again by itself.
                reactor.cancel(token)
            }
        }
        try reactor.runToIdle()
        #expect(counts.onlyError?.errno == .badFileDescriptor)
        #expect(received.onlyError?.isCancelled == true)
    }

    @Test func noDescriptorMeansNoOperation() throws {
        let reactor = try Reactor.quiet()
        var calls = 0
        reactor.after(.milliseconds(2)) { calls += 1 }
        reactor.cancelAll(on: FileDescriptor(rawValue: -1)) { _ in }
        try reactor.runToIdle()
        #expect(calls == 1)
    }

    // MARK: - Cancels that find nothing

    @Test(arguments: Waiting.allCases) func aLostCancelIsSentAgain(operation: Waiting) throws {
        let kernel = FaultyKernel()
        let (still, reactor) = (try Standstill(), try Reactor.quiet(kernel: kernel))
        let token = still.start(operation, on: reactor)
        kernel.lostCancels = 3
        reactor.after(.milliseconds(1)) { reactor.cancel(token) }
        try reactor.runToIdle()
        #expect(kernel.lostCancels == 0)
        #expect(still.calls == 1)
        #expect(still.error?.errno == .canceled)
    }

    @Test(arguments: Waiting.timed) func aLostTimeoutIsSentAgain(operation: Waiting) throws {
        let kernel = FaultyKernel()
        let (still, reactor) = (try Standstill(), try Reactor.quiet(kernel: kernel))
        kernel.lostCancels = 2
        _ = still.start(operation, on: reactor, timeout: .milliseconds(1))
        try reactor.runToIdle()
        #expect(still.calls == 1)
        #expect(still.error?.errno == .timedOut)
    }

    @Test(arguments: Waiting.allCases.filter { $0 != .timeout }) func aLostCancelByDescriptorIsSentAgain(
        operation: Waiting
    ) throws {
        let kernel = FaultyKernel()
        let (still, reactor) = (try Standstill(), try Reactor.quiet(kernel: kernel))
        let descriptor = try #require(still.descriptor(of: operation))
        _ = still.start(operation, on: reactor)
        kernel.lostCancels = 2
        reactor.after(.milliseconds(1)) { reactor.cancelAll(on: descriptor) }
        try reactor.runToIdle()
        #expect(still.calls == 1)
        #expect(still.error?.errno == .canceled)
    }

    @Test(arguments: Waiting.allCases) func aLostSweepIsSentAgain(operation: Waiting) throws {
        let kernel = FaultyKernel()
        let (still, reactor) = (try Standstill(), try Reactor.quiet(kernel: kernel))
        _ = still.start(operation, on: reactor)
        kernel.lostCancels = 3
        reactor.after(.milliseconds(1)) { reactor.stop() }
        try reactor.run()
        #expect(kernel.lostCancels == 0)
        #expect(still.calls == 1)
        #expect(still.error?.errno == .canceled)
    }
}
