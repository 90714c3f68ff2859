/// How often what goes wrong in a ``SimulatedKernel``: probabilities from 0 (never) to 1 (always), drawn from the
/// kernel's seed. Everything in it is legal: Linux may do the same.
public struct FaultPlan: Sendable, Equatable {
    /// An enter that would have to wait is ended by a signal: `EINTR`.
    public var interruptedWait = 0.0
    /// An enter finds no memory for its submissions: `EAGAIN`, nothing consumed.
    public var submitAgain = 0.0
    /// An enter that reaps while completions have overflowed cannot place them all: `EBUSY`.
    public var busy = 0.0
    /// An enter consumes fewer submissions than it was asked to.
    public var partialSubmit = 0.0
    /// A send that could have sent all sends a part, `MSG_WAITALL` or not.
    public var shortSend = 0.0
    /// A receive gets a part of what is there, `MSG_WAITALL` or not; of a multishot receive, one of its completions.
    public var shortReceive = 0.0
    /// An operation is done, but its completion is posted later.
    public var lateCompletion = 0.0
    /// A descriptor has become ready, but the operation that waits for it goes on later.
    public var lateReadiness = 0.0
    /// How much later, in nanoseconds of simulated time.
    public var delay: ClosedRange<UInt64> = 1...1_000_000
    /// A send or receive finds that the connection was reset.
    public var connectionReset = 0.0
    /// The network breaks a connection some time after it was made, whatever it is doing then, and even if nobody is doing
    /// anything: a reset (`ECONNRESET`, or `EPIPE` after the peer's end), or silence until keepalive or `TCP_USER_TIMEOUT`
    /// give up (`ETIMEDOUT`), tcp(7). The other end may find out in another way.
    public var brokenConnection = 0.0
    /// How long such a connection lasts, in nanoseconds of simulated time.
    public var connectionLife: ClosedRange<UInt64> = 1...100_000_000
    /// An accept finds no descriptor left, in the process or in the system, or no memory: `EMFILE`, `ENFILE`, `ENOBUFS`,
    /// `ENOMEM`.
    public var acceptLimit = 0.0
    /// The connection that an accept was to bring is gone: `ECONNABORTED`, accept(2). Where somebody asks for the peer's
    /// address, `do_accept` in net/socket.c says so; elsewhere, a security module may.
    public var abortedAccept = 0.0
    /// A send, receive or accept is interrupted before it has done anything: `EINTR`. io_uring/net.c and io_uring/rw.c make
    /// it of the `ERESTARTSYS` of a worker thread. Not a connect: interrupted, it goes on by itself, and nothing could
    /// be done with its socket but to poll it, connect(2).
    public var interruptedOperation = 0.0
    /// A socket for a connect finds no descriptor left: `EMFILE`. Not before the ring is enabled: a server that cannot
    /// listen is no server.
    public var socketLimit = 0.0
    /// A multishot operation ends, its last completion without `IORING_CQE_F_MORE`, although nothing failed. That
    /// completion brings what the others bring: a descriptor, or bytes in a buffer.
    public var multishotEnd = 0.0
    /// A multishot accept or receive ends with nothing, though nobody has cancelled it: `ECANCELED`. Linux had no memory to
    /// poll the socket, and lets no worker thread do a multishot: `io_wq_submit_work` in io_uring/io_uring.c.
    public var emptyMultishotEnd = 0.0
    /// A cancellation comes too late: `EALREADY`, and the operation completes on its own.
    public var lostCancel = 0.0
    /// A cancellation finds nothing, though the operation waits, and goes on waiting: `ENOENT`. Linux has it between two of
    /// its lists: on its way to a worker thread, or a multishot between firing and being armed again.
    public var missedCancel = 0.0
    /// A receive that selects a buffer finds none, though there are some: `ENOBUFS`, which ends a multishot. On Linux,
    /// another receive of the group was faster.
    public var noBuffers = 0.0
    /// A send with `MSG_DONTWAIT` finds no room, though a poll has just said that there is: `EAGAIN`. A poll promises
    /// nothing, poll(2).
    public var sendAgain = 0.0
    /// The memory of a zero-copy send is held on to, long after the peer has read all of it.
    public var lateNotification = 0.0
    /// A zero-copy send that fails without having sent anything holds nothing: its completion is the only one. Otherwise a
    /// failure is followed by a notification too.
    public var failureWithoutNotification = 0.0

    public init() {}

    /// Whether a connection may break that neither side has broken, or never come to be.
    public var breaksConnections: Bool {
        connectionReset > 0 || brokenConnection > 0 || abortedAccept > 0 || socketLimit > 0
    }

    /// Leaves out what breaks connections: all else that goes wrong must not show to those who use them.
    public mutating func spareConnections() {
        (connectionReset, brokenConnection, abortedAccept, socketLimit) = (0, 0, 0, 0)
    }

    /// Nothing goes wrong.
    public static let none = FaultPlan()

    /// Everything goes wrong now and then. Which faults are frequent, and which are left out, depends on `seed`, so that
    /// over many seeds every mixture comes up.
    public static func nasty(seed: UInt64) -> FaultPlan {
        // Apart from the numbers the kernel draws from the same seed.
        var random = SplitMix64(seed: seed ^ 0x6e61_7374_7900_0000)
        func often(_ most: Double) -> Double { random.next(in: 0...3) == 0 ? 0 : random.nextUnit() * most }
        var plan = FaultPlan()
        plan.interruptedWait = often(0.1)
        plan.submitAgain = often(0.05)
        plan.busy = often(0.2)
        plan.partialSubmit = often(0.2)
        plan.shortSend = often(0.5)
        plan.shortReceive = often(0.5)
        plan.lateCompletion = often(0.3)
        plan.lateReadiness = often(0.3)
        plan.delay = 1...random.next(in: UInt64(1_000)...UInt64(50_000_000))
        plan.connectionReset = often(0.01)
        plan.brokenConnection = often(0.2)
        plan.connectionLife = 1...random.next(in: UInt64(100_000)...UInt64(1_000_000_000))
        plan.acceptLimit = often(0.1)
        plan.socketLimit = often(0.05)
        plan.abortedAccept = often(0.1)
        plan.interruptedOperation = often(0.05)
        plan.multishotEnd = often(0.2)
        plan.emptyMultishotEnd = often(0.05)
        plan.lostCancel = often(0.4)
        plan.missedCancel = often(0.4)
        plan.noBuffers = often(0.2)
        plan.sendAgain = often(0.3)
        plan.lateNotification = often(0.5)
        plan.failureWithoutNotification = often(1)
        return plan
    }
}
