public import CLiburing
public import SystemPackage

/// What lies below a ``Reactor``: the consumer of its submissions, and the few system calls that do not go through the
/// ring. The one seam of the library.
///
/// ``IOUringKernel`` is Linux. `SimulatedKernel`, in the library ReactorTesting, is a model of it with a seed and a
/// virtual clock. Both read the very SQEs and write the very CQEs of `<linux/io_uring.h>` in memory shared with the
/// ring, so nothing above this protocol knows which one it runs on. It costs one indirect call a turn, none an
/// operation.
///
/// All calls come from the thread that owns the reactor, but for those of a ``Waker``. Failures are an `Errno`, as
/// `errno(3)` would say.
public protocol Kernel: AnyObject {
    /// What this kernel offers beyond the floor that the library stands on (Linux 6.1). Valid after ``open(_:)``.
    var capabilities: Capabilities { get }

    /// Makes the ring, disabled: nothing is consumed before ``enable()``. Called once.
    ///
    /// - Returns: the memory shared with the ring's user, which stays valid until ``close()``.
    func open(_ request: RingRequest) throws(RingUnavailable) -> RingMemory

    /// Lets the calling thread, and no other from now on, submit. io_uring_register(2), `IORING_REGISTER_ENABLE_RINGS`.
    func enable() throws(Errno)

    /// Consumes up to `request.submit` entries of the submission queue and posts completions: io_uring_enter(2).
    ///
    /// - Returns: how many entries were consumed, which may be fewer than asked, or the negative errno if there were
    ///   none: `-EINTR`, `-ETIME` (the wait ended by its timeout), `-EAGAIN`, `-EBUSY`, …
    func enter(_ request: EnterRequest) -> Int32

    /// Hands the kernel a ring of receive buffers, to pick from for receives of its group (`IOSQE_BUFFER_SELECT`). From
    /// ``open(_:)`` on, also before ``enable()``. io_uring_register(2), `IORING_REGISTER_PBUF_RING`, Linux 5.19.
    func registerBufferRing(_ ring: BufferRingMemory) throws(Errno)
    /// Takes the ring of a group back. No receive of the group is in flight. `IORING_UNREGISTER_PBUF_RING`.
    func unregisterBufferRing(group: UInt16)

    /// Unmaps the ring. No operation is in flight any more.
    func close()

    /// Makes the means to end a wait of ``enter(_:)`` from another thread. Called once, after ``open(_:)``.
    func makeWaker() throws(RingUnavailable) -> any Waker

    /// Nanoseconds of CLOCK_MONOTONIC, the clock by which the ring's timeouts are measured.
    func now() -> UInt64

    /// socket(2), close-on-exec and blocking: a ring's sockets are best left blocking (O_NONBLOCK makes operations
    /// complete with EAGAIN instead of waiting).
    func socket(_ family: AddressFamily) throws(Errno) -> FileDescriptor
    /// bind(2).
    func bind(_ socket: FileDescriptor, to address: SocketAddress) throws(Errno)
    /// listen(2).
    func listen(_ socket: FileDescriptor, backlog: Int) throws(Errno)
    /// setsockopt(2) for options whose value is an `int`.
    func setOption(_ option: SocketOption, to value: Int, on socket: FileDescriptor) throws(Errno)
    /// getsockname(2).
    func localAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress
    /// getpeername(2).
    func remoteAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress
    /// Bytes that were sent and that the peer has not acknowledged, or, for a Unix socket, not read: `SIOCOUTQ`, tcp(7).
    func unacknowledgedBytes(of socket: FileDescriptor) throws(Errno) -> Int
    /// Has close(2) throw away what was not sent and reset the connection: `SO_LINGER` with a time of 0, socket(7).
    func resetWhenClosed(_ socket: FileDescriptor) throws(Errno)
    /// shutdown(2). Not through the ring, which would always hand it to a worker thread.
    func shutdown(_ socket: FileDescriptor, _ direction: ShutdownDirection) throws(Errno)
    /// close(2), for descriptors that no operation uses.
    func close(_ descriptor: FileDescriptor)
    /// unlink(2), for the path of a listening Unix socket. A path that is not there is no error.
    func unlink(_ path: String) throws(Errno)
}

/// Ends a wait of a reactor from any thread.
public protocol Waker: Sendable {
    /// A descriptor that becomes readable (`POLLIN`, edge by edge) at each ``wake()``.
    var descriptor: FileDescriptor { get }
    /// Makes ``descriptor`` readable. From any thread, also from a signal handler.
    func wake()
    /// Closes ``descriptor``. No poll on it is in flight any more, and nobody calls ``wake()`` again.
    func close()
}

/// How a ring is to be made: io_uring_setup(2).
public struct RingRequest: Sendable {
    /// Entries of the submission queue; the kernel rounds up to a power of two and cuts at its limit (32,768).
    public var submissionEntries: Int
    /// Entries of the completion queue, likewise (65,536).
    public var completionEntries: Int

    /// Both at least 1.
    public init(submissionEntries: Int, completionEntries: Int) {
        self.submissionEntries = submissionEntries
        self.completionEntries = completionEntries
    }
}

/// One call of io_uring_enter(2).
public struct EnterRequest: Sendable, Equatable {
    /// How many entries of the submission queue to consume.
    public var submit: UInt32
    /// How many completions to wait for; 0 does not wait.
    public var waitFor: UInt32
    /// Whether to run deferred work and flush overflowed completions even without a wait (`IORING_ENTER_GETEVENTS`).
    public var reap: Bool
    /// The longest wait in nanoseconds; nil waits without end.
    public var timeout: UInt64?

    /// An enter that, by default, does not wait.
    public init(submit: UInt32, waitFor: UInt32 = 0, reap: Bool = false, timeout: UInt64? = nil) {
        self.submit = submit
        self.waitFor = waitFor
        self.reap = reap
        self.timeout = timeout
    }
}

/// Where a ring's queues lie: the layout of io_uring_setup(2), shared with the kernel.
///
/// Heads and tails run freely from 0 to 2³² − 1 and wrap; an entry's place is its index modulo the (power of two)
/// number of entries. The submission queue has no index array, or one that maps each place to itself.
@unsafe public struct RingMemory {
    /// Written by the kernel: the first submission not yet consumed.
    public let submissionHead: UnsafeMutablePointer<UInt32>
    /// Written by us: one past the last submission.
    public let submissionTail: UnsafeMutablePointer<UInt32>
    /// Written by the kernel: `IORING_SQ_CQ_OVERFLOW`, `IORING_SQ_TASKRUN`.
    public let submissionFlags: UnsafeMutablePointer<UInt32>
    /// The entries of the submission queue.
    public let submissions: UnsafeMutablePointer<io_uring_sqe>
    /// How many there are, a power of two.
    public let submissionEntries: UInt32
    /// Written by us: the first completion not yet read.
    public let completionHead: UnsafeMutablePointer<UInt32>
    /// Written by the kernel: one past the last completion.
    public let completionTail: UnsafeMutablePointer<UInt32>
    /// The entries of the completion queue.
    public let completions: UnsafeMutablePointer<io_uring_cqe>
    /// How many there are, a power of two.
    public let completionEntries: UInt32

    /// Pointers that stay valid until ``Kernel/close()``.
    public init(
        submissionHead: UnsafeMutablePointer<UInt32>,
        submissionTail: UnsafeMutablePointer<UInt32>,
        submissionFlags: UnsafeMutablePointer<UInt32>,
        submissions: UnsafeMutablePointer<io_uring_sqe>,
        submissionEntries: UInt32,
        completionHead: UnsafeMutablePointer<UInt32>,
        completionTail: UnsafeMutablePointer<UInt32>,
        completions: UnsafeMutablePointer<io_uring_cqe>,
        completionEntries: UInt32
    ) {
        unsafe self.submissionHead = submissionHead
        unsafe self.submissionTail = submissionTail
        unsafe self.submissionFlags = submissionFlags
        unsafe self.submissions = submissions
        unsafe self.submissionEntries = submissionEntries
        unsafe self.completionHead = completionHead
        unsafe self.completionTail = completionTail
        unsafe self.completions = completions
        unsafe self.completionEntries = completionEntries
    }
}
