import Synchronization

/// Work that other threads hand to a reactor, and the way to wake it for that.
final class Mailbox: Sendable {
    /// In a struct: a closure that is itself the element of generic storage would be wrapped once more each time it is
    /// read (swiftlang/swift #91348).
    struct Job {
        let body: @Sendable () throws -> Void
    }

    private struct Contents {
        /// Nil where a job was cancelled.
        var jobs: [Job?] = []
        /// The number of the first of `jobs`; the others follow without a gap.
        var firstNumber: UInt64 = 0
        var isClosed = false
    }

    private let contents = Mutex(Contents())
    /// Whether there are jobs. Written after they are there.
    private let hasJobs = Atomic(false)
    /// Whether the reactor is about to wait, or waits. Whoever turns it off wakes the reactor: one wake-up, however many
    /// posts.
    private let isSleeping = Atomic(false)
    private let waker: any Waker

    init(waker: any Waker) {
        self.waker = waker
    }

    /// Adds a job and returns its number, or nil if the reactor has ended and will not run it.
    func post(_ job: Job) -> UInt64? {
        contents.withLock { contents in
            guard !contents.isClosed else { return nil }
            contents.jobs.append(job)
            // Sequentially consistent, as in `mayWait`: either we see that the reactor sleeps, or it sees the job.
            hasJobs.store(true, ordering: .sequentiallyConsistent)
            // Inside of the lock: `close` must not close the descriptor under our feet.
            if isSleeping.exchange(false, ordering: .sequentiallyConsistent) { waker.wake() }
            return contents.firstNumber + UInt64(contents.jobs.count) - 1
        }
    }

    /// Takes a job back; false if the reactor has taken it, or it was cancelled before.
    func cancel(_ number: UInt64) -> Bool {
        // Released outside of the lock: what a job has captured may post when it goes.
        let job: Job? = contents.withLock { contents in
            guard number >= contents.firstNumber, number - contents.firstNumber < contents.jobs.count else { return nil }
            return contents.jobs[Int(number - contents.firstNumber)].take()
        }
        return job != nil
    }

    // MARK: - For the reactor's thread

    /// Whether there are jobs: one load, no lock.
    var hasWork: Bool { hasJobs.load(ordering: .relaxed) }

    /// All jobs so far, in the order of their posts.
    func takeAll() -> [Job?] {
        contents.withLock { contents in
            hasJobs.store(false, ordering: .relaxed)
            return exchangeJobs(&contents)
        }
    }

    private func exchangeJobs(_ contents: inout Contents) -> [Job?] {
        var jobs: [Job?] = []
        swap(&jobs, &contents.jobs)
        contents.firstNumber += UInt64(jobs.count)
        return jobs
    }

    /// Announces a wait. False if a job came before; then there must be none. After the wait: ``wokeUp()``.
    func mayWait() -> Bool {
        isSleeping.store(true, ordering: .sequentiallyConsistent)
        guard hasJobs.load(ordering: .sequentiallyConsistent) else { return true }
        isSleeping.store(false, ordering: .relaxed)
        return false
    }

    func wokeUp() {
        isSleeping.store(false, ordering: .relaxed)
    }

    /// Takes no more jobs, and hands over those there still are.
    func close() -> [Job?] {
        contents.withLock { contents in
            contents.isClosed = true
            hasJobs.store(false, ordering: .relaxed)
            return exchangeJobs(&contents)
        }
    }

    /// Takes no more jobs and forgets those there are.
    func discard() {
        let jobs = contents.withLock { contents in
            contents.isClosed = true
            return exchangeJobs(&contents)
        }
        // Released outside of the lock, and no earlier: what a job has captured may post when it goes.
        withExtendedLifetime(jobs) {}
    }
}
