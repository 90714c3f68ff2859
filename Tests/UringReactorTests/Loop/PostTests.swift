import Synchronization
import SystemPackage
import Testing

@testable import UringReactor

@Suite(.timeLimit(.minutes(20))) struct PostTests {
    /// Each wake-up must arrive: one lost, and this never ends.
    @Test func tenThousandPingPongs() throws {
        let (left, right) = (try Reactor.quiet(), try Reactor.quiet())
        let (toLeft, toRight) = (left.handle, right.handle)
        let carried = Carried(right)
        let thread = TestThread { try! carried.value.run() }
        @Sendable func ping(_ rest: Int) {
            toRight.post {
                toLeft.post {
                    guard rest > 1 else {
                        toRight.stop()
                        toLeft.stop()
                        return
                    }
                    ping(rest - 1)
                }
            }
        }
        ping(10_000)
        try left.run()
        thread.join()
        #expect(left.statistics.errorsThrown == 0)
    }

    @Test func severalThreadsEachInItsOrder() throws {
        final class Log: @unchecked Sendable { var seen: [[Int]] = [[], [], [], []] } // The reactor's thread only.
        let reactor = try Reactor.quiet()
        let handle = reactor.handle
        let log = Log()
        let done = Atomic(0)
        try withoutActuallyEscaping({ done.add(1, ordering: .relaxed).newValue }) { _ in
            let threads = (0..<4).map { thread in
                TestThread {
                    for number in 0..<5000 { handle.post { log.seen[thread].append(number) } }
                    handle.post {
                        if log.seen.allSatisfy({ $0.count == 5000 }) { Reactor.current?.stop() }
                    }
                }
            }
            try reactor.run()
            for thread in threads { thread.join() }
        }
        #expect(log.seen.allSatisfy { $0 == Array(0..<5000) })
    }

    /// While the reactor is awake, posts cost nothing; and however many come while it sleeps, they wake it once.
    @Test func manyPostsAreOneWakeUp() throws {
        let reactor = try Reactor.quiet()
        let handle = reactor.handle
        let jobs = Atomic(0)
        reactor.nop { _ in
            // The reactor is in this callback, so awake, as long as the thread posts.
            let thread = TestThread { for _ in 0..<1000 { handle.post {} } }
            thread.join()
            handle.post { Reactor.current?.stop() }
        }
        _ = jobs
        try reactor.run()
        #expect(reactor.statistics.wakeUps == 0)
    }

    @Test func aSleepingReactorIsWokenOnce() throws {
        let kernel = FaultyKernel()
        let reactor = try Reactor.quiet(kernel: kernel)
        let handle = reactor.handle
        var thread: TestThread?
        // When the reactor has announced that it sleeps, and before it does.
        kernel.beforeEnter = { request in
            guard request.waitFor > 0, thread == nil else { return }
            let posting = TestThread { for _ in 0..<1000 { handle.post {} } }
            thread = posting
            posting.join()
            handle.post { Reactor.current?.stop() }
        }
        try reactor.run()
        #expect(reactor.statistics.wakeUps == 1)
    }

    @Test func postsBeforeTheRunAreRun() throws {
        let reactor = try Reactor.quiet()
        let log = Carried(Outcomes<Int>())
        #expect(reactor.handle.post { log.value.note(.success(1)) } != nil)
        try reactor.run(.untilIdle)
        #expect(log.value.values == [1])
    }

    @Test func postsBeforeTheStopAreRunAndLaterOnesRefused() throws {
        let reactor = try Reactor.quiet()
        let handle = reactor.handle
        let log = Carried(Outcomes<Int>())
        handle.stop()
        for number in 0..<100 { handle.post { log.value.note(.success(number)) } }
        // Posted by one that runs while everything is being ended.
        handle.post { handle.post { log.value.note(.success(100)) } }
        try reactor.run()
        #expect(log.value.values == Array(0...100))
        #expect(handle.post { Issue.record("run after the end") } == nil)
        handle.stop()
    }

    @Test func jobsThatThrowAreReported() throws {
        struct Mishap: Error {}
        var reports: [String] = []
        let reactor = try Reactor.quiet { $0.onReport = { reports.append("\($0)") } }
        reactor.handle.post { throw Mishap() }
        reactor.handle.stop()
        try reactor.run()
        #expect(reports == ["a job threw: Mishap()"])
        #expect(reactor.statistics.errorsThrown == 1)
    }

    /// A job that is thrown away with its reactor, and posts as it goes, must not meet the lock that is held for that.
    @Test func whatADroppedJobCapturesMayPost() throws {
        final class Poster: Sendable {
            let handle: ReactorHandle
            init(_ handle: ReactorHandle) { self.handle = handle }
            deinit { handle.post {} }
        }
        var reactor: Reactor? = try Reactor.quiet()
        let handle = try #require(reactor?.handle)
        do {
            let poster = Poster(handle)
            handle.post { _ = poster }
        }
        reactor = nil
        #expect(handle.post {} == nil)
    }

    @Test func stopFromAnotherThread() throws {
        let kernel = FaultyKernel()
        let reactor = try Reactor.quiet(kernel: kernel)
        let handle = reactor.handle
        let pipe = try Pipe()
        let outcomes = Outcomes<Bytes>()
        reactor.read(from: pipe.reader, upTo: 10, outcomes.note)
        var thread: TestThread?
        kernel.beforeEnter = { request in
            if request.waitFor > 0, thread == nil { thread = TestThread { handle.stop() } }
        }
        try reactor.run()
        thread?.join()
        #expect(outcomes.onlyError?.isCancelled == true)
    }

    /// Between two events far apart a reactor is in one system call.
    @Test func aParkedReactorMakesNoSystemCall() throws {
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        var enters: [UInt64] = []
        reactor.read(from: pipe.reader, upTo: 1) { _ in }
        reactor.after(.milliseconds(20)) { enters.append(reactor.statistics.enters) }
        reactor.after(.milliseconds(120)) {
            enters.append(reactor.statistics.enters)
            reactor.stop()
        }
        try reactor.run()
        #expect(enters[1] - enters[0] == 1)
    }
}

/// A posted job can be taken back until the reactor takes it up.
@Suite struct PostCancellationTests {
    @Test func aCancelledJobNeverRuns() throws {
        let reactor = try Reactor()
        let log = MainLog()
        let jobs = (0..<5).map { number in reactor.handle.post { log.note(number) } }
        #expect(jobs[1]?.cancel() == true)
        #expect(jobs[1]?.cancel() == false)
        #expect(jobs[4]?.cancel() == true)
        reactor.handle.stop()
        try reactor.run()
        #expect(log.all == [0, 2, 3])
        // After the end, and of numbers that were taken up long ago, it is harmless.
        #expect(jobs.allSatisfy { $0?.cancel() == false })
    }

    @Test func aJobCannotCancelWhatWasTakenUpWithIt() throws {
        let reactor = try Reactor()
        let log = MainLog()
        let handle = reactor.handle
        handle.post {
            log.note(1)
            let later = handle.post { log.note(3) }
            handle.post { #expect(later?.cancel() == false) }
            handle.post { Reactor.current?.stop() }
        }
        handle.post { log.note(2) }
        try reactor.run()
        #expect(log.all == [1, 2, 3])
    }

    @Test func aJobThatAlwaysPostsItselfDoesNotKeepTheReactor() throws {
        let reactor = try Reactor()
        let log = MainLog()
        let handle = reactor.handle
        @Sendable func again() {
            log.note(0)
            handle.post { again() }
        }
        handle.post { again() }
        handle.post { Reactor.current?.stop() }
        try reactor.run()
        #expect(log.all.count > 1)
        #expect(handle.post {} == nil)
    }

    /// Written on the reactor's thread, read when it has ended.
    private final class MainLog: @unchecked Sendable {
        private(set) var all: [Int] = []
        func note(_ number: Int) { all.append(number) }
    }
}
