import CLiburing
import Histogram

/// What the registry of callbacks, the connections and the loop share: the ring, the clock, deadlines, buffers, counts.
@safe final class LoopCore {
    let ring: Ring
    let kernel: any Kernel
    /// Buffers for receives that have one of their own.
    let buffers: BufferPool
    /// Those the kernel picks from; nil where it cannot, or where there shall be none.
    let rings: ReceiveRings?
    let batching: BatchingPolicy
    /// Called with what has no callback to go to.
    let report: (ReactorReport) -> Void
    var timers = TimerQueue()
    /// Counts of the loop's own; the ring's are merged in when somebody asks. At an address of its own: several of them
    /// are raised for each operation, and access to a property of a class would be checked each time for overlapping.
    var statistics: Statistics {
        @inline(__always)
        _read { yield unsafe counts.pointee }
        @inline(__always)
        _modify { yield unsafe &counts.pointee }
    }
    private let counts: UnsafeMutablePointer<Statistics>
    /// Completions that did not come from the kernel: refused operations, connections with something to do.
    private let ready = FIFO<Completion>()
    /// The kernel's clock, read once a turn.
    private(set) var now: UInt64
    /// No operation that might wait is started any more.
    var isDraining = false
    /// Whether the loop runs, so that the ring may be entered.
    var isRunning = false
    /// How many operations may be queued before they are submitted in the middle of a turn.
    private let threshold: Int
    private let receiveBufferSize: Int

    init(ring: Ring, configuration: ReactorConfiguration) {
        self.ring = ring
        unsafe counts = .allocate(capacity: 1)
        unsafe counts.initialize(to: Statistics())
        kernel = ring.kernel
        batching = configuration.batching
        let size = configuration.receiveBufferSize
        precondition(size > 0 && size <= 1 << 20, "receive buffers of \(size) bytes")
        buffers = BufferPool([1, 4, ReceiveRings.largeFactor].map { BufferPool.SizeClass(size: size * $0) })
        rings = LoopCore.makeRings(ring.kernel, configuration)
        receiveBufferSize = size
        report = configuration.onReport
        now = ring.kernel.now()
        switch configuration.batching.form {
        case .turn: threshold = .max
        case .threshold(let operations): threshold = operations
        }
        let counts = unsafe counts
        ring.onSubmit = { unsafe counts.pointee.operationsPerEnter.record(UInt64($0)) }
    }

    deinit {
        unsafe counts.deinitialize(count: 1)
        unsafe counts.deallocate()
    }

    /// A kernel that refuses them, for want of memory or by a rule of a container's, is one without.
    private static func makeRings(_ kernel: any Kernel, _ configuration: ReactorConfiguration) -> ReceiveRings? {
        guard kernel.capabilities.multishotReceive, configuration.receiveBufferCount > 0 else { return nil }
        // A power of two, as the kernel wants it.
        let count = 1 << (Int.bitWidth - (min(configuration.receiveBufferCount, 16_384) - 1).leadingZeroBitCount)
        return try? ReceiveRings(kernel: kernel, count: count, size: configuration.receiveBufferSize)
    }

    /// Bytes of a receive buffer of this size.
    func receiveCapacity(_ size: ReceiveSize) -> Int {
        size == .small ? receiveBufferSize : receiveBufferSize * ReceiveRings.largeFactor
    }

    func readClock() { now = kernel.now() }

    /// `duration` from now, or the end of time. By the clock itself: ``now`` is as old as the turn, or, before the reactor
    /// runs, as the reactor, and nothing must end too early.
    func deadline(after duration: Duration) -> UInt64 { deadline(nanoseconds: duration.nanoseconds) }

    func deadline(nanoseconds: UInt64) -> UInt64 {
        let (deadline, overflow) = kernel.now().addingReportingOverflow(nanoseconds)
        return overflow ? .max : deadline
    }

    /// Whether an entry of the timer queue still has somebody to tell. Set by the reactor, which knows both.
    var isLiveTimer: (OperationToken) -> Bool = { _ in true }

    /// Says that an entry of the timer queue has become stale.
    func noteStaleTimer() { timers.noteStale(isLive: isLiveTimer) }

    // MARK: - Operations

    /// Queues an operation; see ``Ring/prepare(userData:_:)``.
    @inline(__always)
    func start(_ kind: OperationKind, _ token: OperationToken, _ fill: (UnsafeMutablePointer<io_uring_sqe>) -> Void) {
        statistics.startedByKind[kind] &+= 1
        unsafe ring.prepare(userData: token.rawValue, fill)
        if threshold != .max { submitIfMany(besides: 0) }
    }

    /// Submits now if the batching policy says so. `besides` counts operations that are about to be queued.
    func submitIfMany(besides: Int) {
        guard threshold != .max, isRunning, ring.queued + besides >= threshold else { return }
        submit()
    }

    /// Whether `operations` more, with those that are queued, are enough to submit in the middle of a turn.
    func isEnough(_ operations: Int) -> Bool {
        threshold != .max && isRunning && ring.queued + operations >= threshold
    }

    /// Submits what is queued, without reading completions.
    func submit() {
        guard ring.queued > 0 else { return }
        // What this comes to, the enter at the end of the turn comes to as well.
        ring.enter(wait: false)
    }

    // MARK: - Ready

    /// Delivers a result on the next turn, as if the kernel had.
    func deliver(_ token: OperationToken, result: Int32) {
        ready.append(Completion(userData: token.rawValue, result: result, flags: 0))
    }

    var hasReady: Bool { !ready.isEmpty }
    var readyCount: Int { ready.count }
    func nextReady() -> Completion? { ready.popFirst() }
}
