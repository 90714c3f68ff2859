import CLiburing
import Glibc
import UringReactor

/// The memory of a ring and the kernel's side of it: the consumer of submissions, the producer of completions.
///
/// Owns the memory; nobody else keeps pointers into it after the kernel's `close()`.
@safe final class SimulatedRing {
    struct Completion: Equatable {
        let userData: UInt64
        let result: Int32
        let flags: UInt32
    }

    private let indices: UnsafeMutablePointer<UInt32>
    private let flagsMutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    let memory: RingMemory
    /// Completions that found the queue full, in order: `IORING_FEAT_NODROP`.
    private(set) var backlog: [Completion] = []

    init(submissionEntries: UInt32, completionEntries: UInt32, startingAt start: UInt32) {
        unsafe pthread_mutex_init(flagsMutex, nil)
        unsafe indices = .allocate(capacity: 5)
        unsafe indices.initialize(repeating: start, count: 5)
        unsafe indices[2] = 0
        let submissions = UnsafeMutablePointer<io_uring_sqe>.allocate(capacity: Int(submissionEntries))
        let completions = UnsafeMutablePointer<io_uring_cqe>.allocate(capacity: Int(completionEntries))
        unsafe UnsafeMutableRawPointer(submissions).initializeMemory(
            as: UInt8.self, repeating: Submission.poison, count: Int(submissionEntries) * 64)
        unsafe UnsafeMutableRawPointer(completions).initializeMemory(
            as: UInt8.self, repeating: Submission.poison, count: Int(completionEntries) * 16)
        unsafe memory = RingMemory(
            submissionHead: indices, submissionTail: indices + 1, submissionFlags: indices + 2,
            submissions: submissions, submissionEntries: submissionEntries,
            completionHead: indices + 3, completionTail: indices + 4,
            completions: completions, completionEntries: completionEntries)
    }

    deinit {
        unsafe memory.submissions.deallocate()
        unsafe memory.completions.deallocate()
        unsafe indices.deallocate()
        unsafe pthread_mutex_destroy(flagsMutex)
        unsafe flagsMutex.deallocate()
    }

    // MARK: - Submissions

    var submissionsReady: UInt32 {
        unsafe ring_load_acquire(memory.submissionTail) &- ring_load_relaxed(memory.submissionHead)
    }

    /// Takes the entry at the head, and leaves poison behind.
    func take() -> Submission {
        let head = unsafe memory.submissionHead.pointee
        let entry = unsafe memory.submissions + Int(head & (memory.submissionEntries - 1))
        let submission = unsafe Submission(entry)
        unsafe UnsafeMutableRawPointer(entry).initializeMemory(as: UInt8.self, repeating: Submission.poison, count: 64)
        unsafe ring_store_release(memory.submissionHead, head &+ 1)
        return submission
    }

    /// Sets or clears a flag the kernel tells the ring's user: `IORING_SQ_CQ_OVERFLOW`, `IORING_SQ_TASKRUN`.
    func setFlag(_ flag: UInt32, _ isSet: Bool) {
        // Only the kernel's own thread clears flags.
        if unsafe isSet == (ring_load_acquire(memory.submissionFlags) & flag != 0) { return }
        // A waker sets one from another thread.
        unsafe pthread_mutex_lock(flagsMutex)
        defer { unsafe pthread_mutex_unlock(flagsMutex) }
        let flags = unsafe memory.submissionFlags.pointee
        unsafe ring_store_release(memory.submissionFlags, isSet ? flags | flag : flags & ~flag)
    }

    static let overflowFlag: UInt32 = 1 << 1
    static let deferredWorkFlag: UInt32 = 1 << 2

    // MARK: - Completions

    /// How many completions the user has not read yet.
    var completionsReady: UInt32 {
        unsafe ring_load_relaxed(memory.completionTail) &- ring_load_acquire(memory.completionHead)
    }

    /// Whether a completion would not overflow: there is a free place, and none waits for it.
    var hasRoom: Bool { unsafe backlog.isEmpty && completionsReady < memory.completionEntries }

    func post(_ completion: Completion) {
        guard hasRoom else {
            backlog.append(completion)
            setFlag(SimulatedRing.overflowFlag, true)
            return
        }
        place(completion)
    }

    /// Moves what overflowed into places that became free.
    func flushBacklog() {
        guard !backlog.isEmpty else { return }
        let room = unsafe Int(memory.completionEntries - completionsReady)
        for completion in backlog.prefix(room) { place(completion) }
        backlog.removeFirst(min(room, backlog.count))
        if backlog.isEmpty { setFlag(SimulatedRing.overflowFlag, false) }
    }

    private func place(_ completion: Completion) {
        let tail = unsafe memory.completionTail.pointee
        let entry = unsafe memory.completions + Int(tail & (memory.completionEntries - 1))
        unsafe entry.pointee.user_data = completion.userData
        unsafe entry.pointee.res = completion.result
        unsafe entry.pointee.flags = completion.flags
        unsafe ring_store_release(memory.completionTail, tail &+ 1)
    }
}
