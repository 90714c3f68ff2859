import CLiburing
import Glibc
import SystemPackage

@testable import UringReactor

/// A ring in plain memory whose indices start anywhere, and that knows no-ops and cancels only; all else waits until it is
/// cancelled. For the arithmetic of the ring, which the real kernel starts at zero.
@safe final class MemoryKernel: Kernel {
    var capabilities = Capabilities(multishotTimeout: false)
    private let indices: UnsafeMutablePointer<UInt32>
    private var submissions: UnsafeMutablePointer<io_uring_sqe>
    private var completions: UnsafeMutablePointer<io_uring_cqe>
    private var entries = (submission: UInt32(0), completion: UInt32(0))
    private let start: UInt32
    /// Completions that found the queue full.
    private var waiting: [io_uring_cqe] = []
    /// Operations that wait.
    private var pending: [UInt64] = []
    /// What each consumed entry held, if `records`.
    private(set) var consumed: [io_uring_sqe] = []
    var records = false
    private let wakeDescriptor: FileDescriptor

    init(startingAt start: UInt32) throws {
        self.start = start
        unsafe indices = .allocate(capacity: 5)
        unsafe submissions = .allocate(capacity: 1)
        unsafe completions = .allocate(capacity: 1)
        wakeDescriptor = try IOUringKernel().socket(.unix)
    }

    deinit {
        unsafe indices.deallocate()
        unsafe submissions.deallocate()
        unsafe completions.deallocate()
    }

    private enum Index: Int {
        case submissionHead, submissionTail, flags, completionHead, completionTail
    }

    private subscript(index: Index) -> UInt32 {
        get { unsafe indices[index.rawValue] }
        set { unsafe indices[index.rawValue] = newValue }
    }

    func open(_ request: RingRequest) throws(RingUnavailable) -> RingMemory {
        entries = (UInt32(request.submissionEntries), UInt32(request.completionEntries))
        unsafe submissions.deallocate()
        unsafe completions.deallocate()
        unsafe submissions = .allocate(capacity: request.submissionEntries)
        // Dirt that nobody may take for an operation's own.
        unsafe UnsafeMutableRawPointer(submissions).initializeMemory(
            as: UInt8.self, repeating: 0xff, count: request.submissionEntries * MemoryLayout<io_uring_sqe>.stride)
        unsafe completions = .allocate(capacity: request.completionEntries)
        for place in [Index.submissionHead, .submissionTail, .completionHead, .completionTail] { self[place] = start }
        self[.flags] = 0
        return unsafe RingMemory(
            submissionHead: indices, submissionTail: indices + 1, submissionFlags: indices + 2,
            submissions: submissions, submissionEntries: entries.submission,
            completionHead: indices + 3, completionTail: indices + 4,
            completions: completions, completionEntries: entries.completion)
    }

    func enable() throws(Errno) {}

    func enter(_ request: EnterRequest) -> Int32 {
        for _ in 0..<request.submit {
            precondition(self[.submissionHead] != self[.submissionTail], "more submitted than there are")
            consume(unsafe submissions[Int(self[.submissionHead] & (entries.submission - 1))])
            self[.submissionHead] &+= 1
        }
        if request.reap || request.waitFor > 0 { post() }
        let ready = self[.completionTail] &- self[.completionHead]
        precondition(ready <= entries.completion, "\(ready) completions in a queue of \(entries.completion)")
        precondition(request.waitFor == 0 || ready > 0 || request.timeout != nil, "a wait without end")
        return Int32(request.submit)
    }

    private func consume(_ entry: io_uring_sqe) {
        if records { consumed.append(entry) }
        switch UInt32(entry.opcode) {
        case UInt32(IORING_OP_NOP.rawValue): complete(entry.user_data, 0)
        case UInt32(IORING_OP_CLOSE.rawValue): complete(entry.user_data, 0)
        case UInt32(IORING_OP_ASYNC_CANCEL.rawValue):
            let isForAll = entry.cancel_flags & UInt32(IORING_ASYNC_CANCEL_ANY) != 0
            let hit = pending.filter { isForAll || $0 == entry.addr }
            pending.removeAll { hit.contains($0) }
            for user in hit { complete(user, -ECANCELED) }
            complete(entry.user_data, hit.isEmpty ? -ENOENT : isForAll ? Int32(hit.count) : 0)
        default: pending.append(entry.user_data)
        }
    }

    private func complete(_ user: UInt64, _ result: Int32) {
        var completion = io_uring_cqe()
        completion.user_data = user
        completion.res = result
        waiting.append(completion)
        if waiting.count == 1 || self[.flags] == 0 { post() }
    }

    private func post() {
        while !waiting.isEmpty, self[.completionTail] &- self[.completionHead] < entries.completion {
            unsafe completions[Int(self[.completionTail] & (entries.completion - 1))] = waiting.removeFirst()
            self[.completionTail] &+= 1
        }
        self[.flags] = waiting.isEmpty ? 0 : UInt32(IORING_SQ_CQ_OVERFLOW)
    }

    /// The rings of buffers it was handed; none, and a refusal, unless it `takesBufferRings`.
    private(set) var bufferRings: [BufferRingMemory] = unsafe []
    var takesBufferRings = false

    func registerBufferRing(_ ring: BufferRingMemory) throws(Errno) {
        guard takesBufferRings else { throw .notSupported }
        unsafe bufferRings.append(ring)
    }

    func unregisterBufferRing(group: UInt16) { unsafe bufferRings.removeAll { unsafe $0.group == group } }
    func close() {}
    func makeWaker() throws(RingUnavailable) -> any Waker { NoWaker(descriptor: wakeDescriptor) }
    func now() -> UInt64 { 1 }
    func socket(_ family: AddressFamily) throws(Errno) -> FileDescriptor { throw .notSupported }
    func bind(_ socket: FileDescriptor, to address: SocketAddress) throws(Errno) { throw .notSupported }
    func listen(_ socket: FileDescriptor, backlog: Int) throws(Errno) { throw .notSupported }
    func setOption(_ option: SocketOption, to value: Int, on socket: FileDescriptor) throws(Errno) { throw .notSupported }
    func localAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress { throw .notSupported }
    func remoteAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress { throw .notSupported }
    func unacknowledgedBytes(of socket: FileDescriptor) throws(Errno) -> Int { throw .notSupported }
    func resetWhenClosed(_ socket: FileDescriptor) throws(Errno) { throw .notSupported }
    func shutdown(_ socket: FileDescriptor, _ direction: ShutdownDirection) throws(Errno) { throw .notSupported }
    func close(_ descriptor: FileDescriptor) {}
    func unlink(_ path: String) throws(Errno) { throw .notSupported }
}

private struct NoWaker: Waker {
    let descriptor: FileDescriptor
    func wake() {}
    func close() { try? descriptor.close() }
}
