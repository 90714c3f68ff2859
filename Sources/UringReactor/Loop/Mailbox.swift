import Synchronization

/// Work that other threads hand to a reactor, and the way to wake it for that.
final class Mailbox: Sendable {
    /// In a struct: a closure that is itself the element of generic storage would be wrapped once more each time it is
    /// read (swiftlang/swift #91348).
    struct Job {
        let body: @Sendable () throws -> Void
    }

    private struct Contents {
        var jobs: [Job] = []
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

    /// Adds a job. False if the reactor has ended and will not run it.
    func post(_ job: Job) -> Bool {
        contents.withLock { contents in
            guard !contents.isClosed else { return false }
            contents.jobs.append(job)
            // Sequentially consistent, as in `mayWait`: either we see that the reactor sleeps, or it sees the job.
            hasJobs.store(true, ordering: .sequentiallyConsistent)
            // Inside of the lock: `close` must not close the descriptor under our feet.
            if isSleeping.exchange(false, ordering: .sequentiallyConsistent) { waker.wake() }
            return true
        }
    }

    // MARK: - For the reactor's thread

    /// Whether there are jobs: one load, no lock.
    var hasWork: Bool { hasJobs.load(ordering: .relaxed) }

    /// All jobs so far, in the order of their posts.
    func takeAll() -> [Job] {
        contents.withLock { contents in
            hasJobs.store(false, ordering: .relaxed)
            return exchangeJobs(&contents)
        }
    }

    private func exchangeJobs(_ contents: inout Contents) -> [Job] {
        var jobs: [Job] = []
        swap(&jobs, &contents.jobs)
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

    /// Takes no more jobs, unless there still are some, which come first: then false.
    func close() -> Bool {
        contents.withLock { contents in
            guard contents.jobs.isEmpty else { return false }
            contents.isClosed = true
            return true
        }
    }

    /// Takes no more jobs and forgets those there are.
    func discard() {
        // Released outside of the lock: what a job has captured may post when it goes.
        _ = contents.withLock { contents in
            contents.isClosed = true
            return exchangeJobs(&contents)
        }
    }
}
