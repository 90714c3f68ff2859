import CLiburing
import DequeModule

/// The two queues shared with a kernel: prepares submissions in place, enters the kernel, reads completions.
///
/// Knows nothing of what the operations mean: an entry has a `user_data`, a completion brings it back.
@safe final class Ring {
    let kernel: any Kernel
    private let memory: RingMemory
    /// One past the last entry prepared. Runs ahead of the tail that the kernel sees until the next enter.
    private var tail: UInt32
    /// The first completion not yet read; the kernel sees it too.
    private var completionHead: UInt32
    /// What found no place in the queue, in order. Once an entry is here all later ones follow, so order is kept.
    private var overflow = Deque<io_uring_sqe>()
    /// Whether there is any. Asked for each entry; access to the deque itself would be checked each time for overlapping.
    private var overflows = false
    private(set) var isEnabled = false
    private var isClosed = false

    /// Ends the process once the ring is gone: what would be started could never complete.
    @inline(__always)
    func assertOpen() {
        if isClosed { Ring.usedAfterTheEnd() }
    }

    @inline(never)
    private static func usedAfterTheEnd() -> Never {
        fatalError("An operation was started on a Reactor whose run() has returned. Its callback could never be called.")
    }

    /// Counts since the ring was made.
    private(set) var counters = Counters()
    /// Told of each batch that the kernel has consumed.
    var onSubmit: (Int) -> Void = { _ in }

    struct Counters {
        /// Calls of io_uring_enter(2).
        var enters: UInt64 = 0
        /// Those that were allowed to wait.
        var waits: UInt64 = 0
        /// Enters that returned EINTR.
        var interrupted: UInt64 = 0
        /// Enters that consumed fewer entries than they were offered.
        var partialSubmits: UInt64 = 0
        /// Entries the kernel has consumed.
        var submitted: UInt64 = 0
        /// Entries that found the submission queue full, and had to wait outside of it.
        var submissionOverflows: UInt64 = 0
        /// Turns that found completions waiting outside of a full completion queue.
        var completionOverflows: UInt64 = 0
    }

    init(kernel: any Kernel, request: RingRequest) throws(RingUnavailable) {
        self.kernel = kernel
        let memory = unsafe try kernel.open(request)
        unsafe self.memory = unsafe memory
        // Not zero: a kernel may start its indices anywhere, and a simulated one starts them just below 2³².
        tail = unsafe ring_load_acquire(memory.submissionTail)
        completionHead = unsafe ring_load_acquire(memory.completionHead)
    }

    /// Lets the calling thread submit; see ``Kernel/enable()``.
    func enable() throws {
        try kernel.enable()
        isEnabled = true
    }

    // MARK: - Submissions

    /// Entries prepared and not yet consumed by the kernel.
    var queued: Int {
        Int(tail &- (unsafe ring_load_acquire(memory.submissionHead))) + (overflows ? overflow.count : 0)
    }

    /// Prepares an entry: `fill` sets what is special about it, through one of liburing's `io_uring_prep_…`.
    @inline(__always)
    func prepare(userData: UInt64, _ fill: (UnsafeMutablePointer<io_uring_sqe>) -> Void) {
        assertOpen()
        if !overflows, hasRoom() {
            let entry = unsafe memory.submissions + Int(tail & (memory.submissionEntries &- 1))
            // All 64 bytes: since 2.4 liburing clears in io_uring_get_sqe what the preparing functions do not set, and an
            // entry must not inherit the flags of the one that had its place before.
            unsafe entry.initialize(to: io_uring_sqe())
            unsafe fill(entry)
            unsafe entry.pointee.user_data = userData
            tail &+= 1
        } else {
            unsafe prepareBeside(userData: userData, fill)
        }
    }

    @inline(never)
    private func prepareBeside(userData: UInt64, _ fill: (UnsafeMutablePointer<io_uring_sqe>) -> Void) {
        var entry = io_uring_sqe()
        unsafe fill(&entry)
        entry.user_data = userData
        overflow.append(entry)
        overflows = true
        counters.submissionOverflows += 1
    }

    @inline(__always)
    private func hasRoom() -> Bool {
        tail &- (unsafe ring_load_relaxed(memory.submissionHead)) < (unsafe memory.submissionEntries) || makeRoom()
    }

    @inline(never)
    private func makeRoom() -> Bool {
        // A full queue is best handed to the kernel right away. Before the ring runs, or while the kernel refuses, the
        // entry waits in `overflow`.
        guard isEnabled else { return false }
        enterOnce(waitFor: 0, reap: false, timeout: nil)
        return tail &- (unsafe ring_load_acquire(memory.submissionHead)) < (unsafe memory.submissionEntries)
    }

    // MARK: - Entering the kernel

    /// What an enter came to.
    enum EnterResult: Equatable {
        /// This many entries were consumed.
        case submitted(Int)
        /// The wait ended by its timeout.
        case timedOut
        /// A signal came; nothing was consumed.
        case interrupted
        /// The kernel wants its completions read before it takes more (EBUSY), or has no memory right now (EAGAIN).
        case busy
        /// Anything else: the ring cannot be used.
        case failed(Int32)
    }

    /// Submits all that is queued and, with `wait`, waits for a completion: one system call unless more is queued than
    /// the submission queue holds.
    @discardableResult
    func enter(wait: Bool, timeout: UInt64? = nil) -> EnterResult {
        var total = 0
        while true {
            if overflows { fillFromOverflow() }
            let last = !overflows
            // Reaping each time: a kernel that is busy because completions wait outside of a full queue must be able to
            // move them.
            let result = enterOnce(waitFor: wait && last ? 1 : 0, reap: true, timeout: timeout)
            guard case .submitted(let count) = result else {
                // What went before has been submitted; the wait or the refusal is the caller's to know.
                return result
            }
            total += count
            // Fewer than offered: the kernel had a reason, so let the loop read completions before it offers more.
            if last || count == 0 { return .submitted(total) }
        }
    }

    /// Has the kernel deliver what it keeps back, and submits nothing.
    func reap() -> EnterResult { enter(offering: 0, waitFor: 0, reap: true, timeout: nil) }

    @discardableResult
    private func enterOnce(waitFor: UInt32, reap: Bool, timeout: UInt64?) -> EnterResult {
        let offered = tail &- (unsafe ring_load_acquire(memory.submissionHead))
        unsafe ring_store_release(memory.submissionTail, tail)
        return enter(offering: offered, waitFor: waitFor, reap: reap, timeout: timeout)
    }

    private func enter(offering offered: UInt32, waitFor: UInt32, reap: Bool, timeout: UInt64?) -> EnterResult {
        counters.enters += 1
        if waitFor > 0 { counters.waits += 1 }
        let status = kernel.enter(EnterRequest(submit: offered, waitFor: waitFor, reap: reap, timeout: timeout))
        if status >= 0 {
            counters.submitted += UInt64(status)
            if status > 0 { onSubmit(Int(status)) }
            if status < offered { counters.partialSubmits += 1 }
            return .submitted(Int(status))
        }
        switch -status {
        case ETIME: return .timedOut
        case EINTR:
            counters.interrupted += 1
            return .interrupted
        case EBUSY, EAGAIN: return .busy
        default: return .failed(-status)
        }
    }

    private func fillFromOverflow() {
        let entries = unsafe memory.submissionEntries
        while !overflow.isEmpty, tail &- (unsafe ring_load_acquire(memory.submissionHead)) < entries {
            unsafe memory.submissions[Int(tail & (entries &- 1))] = overflow.removeFirst()
            tail &+= 1
        }
        overflows = !overflow.isEmpty
    }

    // MARK: - Completions

    /// Completions that can be read without entering the kernel.
    var completionsReady: Int {
        Int((unsafe ring_load_acquire(memory.completionTail)) &- completionHead)
    }

    /// Whether the kernel keeps completions back until it is entered: work deferred to this thread
    /// (`IORING_SETUP_DEFER_TASKRUN`, Linux 6.1), or a completion queue that was full (io_uring_enter(2), `NODROP`).
    func needsReap() -> Bool {
        let flags = unsafe ring_load_relaxed(memory.submissionFlags)
        if flags & UInt32(IORING_SQ_CQ_OVERFLOW) != 0 {
            counters.completionOverflows += 1
            return true
        }
        return flags & UInt32(IORING_SQ_TASKRUN) != 0
    }

    /// Takes the next completion; its place in the queue is the kernel's again when this returns.
    @inline(__always)
    func nextCompletion() -> Completion? {
        guard completionHead != (unsafe ring_load_acquire(memory.completionTail)) else { return nil }
        let entry = unsafe memory.completions + Int(completionHead & (memory.completionEntries &- 1))
        let completion = unsafe Completion(
            userData: entry.pointee.user_data, result: entry.pointee.res, flags: entry.pointee.flags)
        completionHead &+= 1
        unsafe ring_store_release(memory.completionHead, completionHead)
        return completion
    }

    /// Unmaps the queues. Nothing is in flight.
    func close() {
        isClosed = true
        kernel.close()
    }
}

/// What the kernel says of one operation: io_uring(7), `struct io_uring_cqe`.
struct Completion {
    var userData: UInt64
    /// A count, a descriptor or 0; a negative errno if it failed.
    var result: Int32
    var flags: UInt32

    /// Whether more completions of the same submission will follow.
    var hasMore: Bool { flags & UInt32(IORING_CQE_F_MORE) != 0 }

    /// The number of the provided buffer that holds what was received.
    var buffer: UInt16? {
        guard flags & UInt32(IORING_CQE_F_BUFFER) != 0 else { return nil }
        return UInt16(truncatingIfNeeded: flags >> UInt32(IORING_CQE_BUFFER_SHIFT))
    }

    /// Whether it says that the kernel has let go of the bytes of a zero-copy send, and not what came of the send.
    var isNotification: Bool { flags & UInt32(IORING_CQE_F_NOTIF) != 0 }
}
