import SystemPackage
import Testing

@testable import UringReactor

@Suite(.timeLimit(.minutes(20))) struct TimeoutsTests {
    /// The two ways to keep a beat: the kernel's multishot timeout, and the reactor's own time.
    private static let kernels = [true, false]

    private func reactor(multishot: Bool) throws -> Reactor {
        let kernel = FaultyKernel()
        if !multishot { kernel.overridden = Capabilities(multishotTimeout: false) }
        return try Reactor.quiet(kernel: kernel)
    }

    @Test func afterCallsOnceAndNotEarly() throws {
        let reactor = try Reactor.quiet()
        let start = reactor.core.kernel.now()
        var calls = 0
        reactor.after(.milliseconds(20)) {
            calls += 1
            #expect(reactor.core.kernel.now() - start >= 20_000_000)
        }
        try reactor.runToIdle()
        #expect(calls == 1)
        #expect(reactor.statistics.startedByKind[.timer] == 1)
    }

    /// Neither the time between the making of a reactor and its run, nor a long callback, is taken from a delay.
    @Test func delaysBeginWhenTheyAreAskedFor() throws {
        let kernel = FaultyKernel()
        let reactor = try Reactor.quiet(kernel: kernel)
        func expectFullDelay(then next: @escaping () -> Void) {
            kernel.clockOffset += 10_000_000_000
            let asked = kernel.now()
            reactor.after(.milliseconds(5)) {
                #expect(kernel.now() - asked >= 5_000_000)
                next()
            }
        }
        expectFullDelay { expectFullDelay {} }
        try reactor.runToIdle()
    }

    @Test func equalDeadlinesKeepTheirOrder() throws {
        let kernel = FaultyKernel()
        let reactor = try Reactor.quiet(kernel: kernel)
        var order: [Int] = []
        // However slow this machine is: time passes when all have been started.
        kernel.frozenClock = kernel.now()
        for number in 0..<100 { reactor.after(.milliseconds(3)) { order.append(number) } }
        for number in 100..<200 { reactor.after(.zero) { order.append(number) } }
        kernel.frozenClock = nil
        try reactor.runToIdle()
        #expect(order == Array(100..<200) + Array(0..<100))
    }

    @Test func shorterDelaysComeFirst() throws {
        let kernel = FaultyKernel()
        let reactor = try Reactor.quiet(kernel: kernel)
        var order: [Int] = []
        kernel.frozenClock = kernel.now()
        for delay in [9, 1, 5] { reactor.after(.milliseconds(delay)) { order.append(delay) } }
        kernel.frozenClock = nil
        try reactor.runToIdle()
        #expect(order == [1, 5, 9])
    }

    @Test func thousandsCostNoSubmission() throws {
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        var calls = 0
        for number in 0..<5000 { reactor.after(.microseconds(number % 1000)) { calls += 1 } }
        let token = reactor.poll(pipe.reader, for: .readable, timeout: .seconds(100)) { _ in }
        reactor.after(.milliseconds(2)) { reactor.cancel(token) }
        try reactor.runToIdle()
        #expect(calls == 5000)
        let statistics = reactor.statistics
        #expect(statistics.startedByKind[.timer] == 5001)
        // The poll and its cancel, the waker's poll, and the end of everything.
        #expect(statistics.submitted == 4)
    }

    @Test func cancelledOnesAreNeverCalled() throws {
        let reactor = try Reactor.quiet()
        let tokens = (0..<1000).map { _ in reactor.after(.milliseconds(1)) { Issue.record("called") } }
        for token in tokens { #expect(reactor.cancel(token)) }
        for token in tokens { #expect(!reactor.cancel(token)) }
        reactor.after(.milliseconds(2)) {}
        try reactor.runToIdle()
        #expect(reactor.core.timers.count < 600)
    }

    /// A timer whose turn has come, cancelled by another that is due in the same turn.
    @Test func cancelledInTheTurnInWhichItIsDue() throws {
        let kernel = FaultyKernel()
        let reactor = try Reactor.quiet(kernel: kernel)
        var second = OperationToken.none
        reactor.after(.milliseconds(1)) { #expect(reactor.cancel(second)) }
        second = reactor.after(.milliseconds(1)) { Issue.record("called") }
        kernel.clockOffset = 1_000_000_000
        try reactor.runToIdle()
    }

    @Test(arguments: kernels) func everyBeatsUntilCancelledFromWithin(multishot: Bool) throws {
        let reactor = try reactor(multishot: multishot)
        var beats = 0
        var token = OperationToken.none
        token = reactor.every(.milliseconds(1)) {
            beats += 1
            if beats == 5 { #expect(reactor.cancel(token)) }
        }
        try reactor.runToIdle()
        #expect(beats == 5)
        let counts = reactor.statistics.startedByKind
        let isKernels = multishot && reactor.capabilities.multishotTimeout
        #expect(counts[.timeout] == (isKernels ? 1 : 0))
        #expect(counts[.timer] == (isKernels ? 0 : 1))
    }

    @Test(arguments: kernels) func everyMayStopTheReactor(multishot: Bool) throws {
        let reactor = try reactor(multishot: multishot)
        var beats = 0
        reactor.every(.milliseconds(1)) {
            beats += 1
            if beats == 3 { reactor.stop() }
        }
        try reactor.run()
        #expect(beats >= 3)
        #expect(reactor.statistics.operations == 0)
    }

    /// However long a callback takes, each beat lies at a multiple of the period from the first.
    @Test func beatsAreNotShifted() throws {
        let kernel = FaultyKernel()
        kernel.overridden = Capabilities(multishotTimeout: false)
        let reactor = try Reactor.quiet(kernel: kernel)
        let period: UInt64 = 10_000_000
        let slots = reactor.registry.slots
        var dues: [UInt64] = []
        var token = OperationToken.none
        token = reactor.every(.nanoseconds(Int64(period))) {
            // The next due time, as the slot has it.
            dues.append(UInt64(bitPattern: slots[token.slot].arguments.tv_sec))
            #expect(dues.last! > reactor.now)
            #expect(dues.last! - reactor.now <= period)
            kernel.clockOffset += 27_000_000
            if dues.count == 6 { reactor.cancel(token) }
        }
        try reactor.runToIdle()
        for (earlier, later) in zip(dues, dues.dropFirst()) {
            #expect((later - earlier) % period == 0)
            #expect(later - earlier >= 2 * period)
        }
    }

    @Test(arguments: kernels) func anErrorIsReportedAndTheBeatGoesOn(multishot: Bool) throws {
        struct Mishap: Error {}
        let kernel = FaultyKernel()
        if !multishot { kernel.overridden = Capabilities(multishotTimeout: false) }
        var reports: [String] = []
        let reactor = try Reactor.quiet(kernel: kernel) { $0.onReport = { reports.append("\($0)") } }
        var beats = 0
        var token = OperationToken.none
        token = reactor.every(.milliseconds(1)) {
            beats += 1
            if beats == 2 { reactor.cancel(token) }
            throw Mishap()
        }
        reactor.after(.zero) { throw Mishap() }
        try reactor.runToIdle()
        #expect(reports == Array(repeating: "a job threw: Mishap()", count: 3))
        #expect(reactor.statistics.errorsThrown == 3)
    }

    @Test func noRoomForATimerIsReported() throws {
        var reports: [String] = []
        let reactor = try Reactor.quiet {
            $0.maximumOperations = 1
            $0.onReport = { reports.append("\($0)") }
        }
        reactor.after(.zero) {}
        #expect(reactor.after(.zero) {} == .none)
        reactor.every(.seconds(1)) {}
        try reactor.runToIdle()
        #expect(reports.count == 2)
        #expect(reports.allSatisfy { $0.contains("no buffer or operation slot is left (ENOBUFS)") })
    }

    /// Work that is always there must not keep time from passing.
    @Test func postsWithoutEndDoNotStarveTimers() throws {
        let kernel = FaultyKernel()
        kernel.clockStep = 1_000
        let reactor = try Reactor.quiet(kernel: kernel)
        let handle = reactor.handle
        let state = PostState()
        @Sendable func again() {
            state.posts += 1
            if !state.isDone, state.posts < 1_000_000 { handle.post { again() } }
        }
        handle.post { again() }
        reactor.after(.milliseconds(10)) { state.isDone = true; reactor.stop() }
        try reactor.run()
        #expect(state.isDone && state.posts < 1_000_000)
    }
    private final class PostState: @unchecked Sendable { // Used on the reactor's thread only.
        var posts = 0
        var isDone = false
    }

    @Test func timeoutInTheKernel() throws {
        let reactor = try Reactor.quiet()
        let (fired, cancelled) = (Outcomes<Void>(), Outcomes<Void>())
        reactor.timeout(after: .milliseconds(2), fired.note)
        reactor.timeout(after: .zero, fired.note)
        let token = reactor.timeout(after: .seconds(1000), cancelled.note)
        reactor.after(.milliseconds(1)) { reactor.cancel(token) }
        try reactor.runToIdle()
        #expect(fired.values.count == 2)
        #expect(cancelled.onlyError?.description == "timeout failed: it was cancelled (ECANCELED)")
    }

    @Test func durationsBecomeNanoseconds() {
        #expect(Duration.zero.nanoseconds == 0)
        #expect(Duration.seconds(-1).nanoseconds == 0)
        #expect(Duration.nanoseconds(-1).nanoseconds == 0)
        #expect(Duration.nanoseconds(1).nanoseconds == 1)
        #expect(Duration(secondsComponent: 0, attosecondsComponent: 999_999_999).nanoseconds == 0)
        #expect(Duration.seconds(2).nanoseconds == 2_000_000_000)
        #expect(Duration.milliseconds(1500).nanoseconds == 1_500_000_000)
        #expect(Duration.seconds(Int64.max).nanoseconds == .max)
        #expect(Duration.seconds(18_446_744_073).nanoseconds == 18_446_744_073_000_000_000)
    }
}
