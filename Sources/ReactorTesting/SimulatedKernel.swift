import CLiburing
import Glibc
public import SystemPackage
public import UringReactor

/// A kernel in memory, with a seed and a clock of its own: it consumes the very submissions that the library prepares and
/// posts the very completions that it reads, from a model of sockets, files and timers.
///
/// The same seed and the same calls give the same run. Time stands still while the library computes, and jumps to the
/// next event when it waits, so a test of an hour's timeout takes microseconds.
///
/// ```swift
/// let kernel = SimulatedKernel(seed: 1)
/// // … a server on this kernel, listening on port 7000
/// let peer = try kernel.connect(to: .loopback(port: 7000))
/// peer.send("hello")
/// // … run the reactor
/// #expect(peer.received == "hello")
/// ```
///
/// Used from one thread, apart from its `Waker`. What Linux would accept but no correct program does (a submission that
/// was never filled, a ring closed over operations in flight, a buffer provided twice, memory that is freed, used again or
/// written to while the kernel has it) is a *violation*, and ends the program with a message unless ``onViolation`` says
/// otherwise.
@safe public final class SimulatedKernel: Kernel {
    public let configuration: Configuration
    /// What goes wrong at random, from now on.
    public var faults: FaultPlan
    public var capabilities: Capabilities { configuration.capabilities }

    /// Called with what the library must not do. By default the program ends with the message, the kernel's state and the
    /// last of the trace; after a hook returns, the kernel goes on as Linux would.
    public var onViolation: ((String) -> Void)?
    /// Called when an enter waits for what can never happen: no operation can complete, no timer is set. By default a
    /// violation. A hook may do a step of the test's script and say `.lookAgain`.
    public var onStall: ((SimulatedKernel) -> StallAnswer)?

    /// Called with each step as it happens, whether ``trace`` keeps it or not.
    public var onTrace: ((TraceEvent) -> Void)?
    /// Enters so far.
    public internal(set) var enters = 0
    /// Faults that were drawn so far, by the names they have in ``trace``.
    public internal(set) var faultCounts: [String: UInt64] = [:]
    /// After so many enters, the next one is a violation and fails with `EBADF`, which ends the reactor: a loop that turns
    /// without end would otherwise never return.
    public var enterLimit = Int.max

    /// After so many enters without anything having been done between them, the next one is such a violation, too. A poll
    /// that says that there is room, a send that finds none, a receive that finds no buffer: each may happen now and then,
    /// but a loop that does nothing else should wait.
    public var spinLimit = 10_000
    var entersWithoutProgress = 0

    /// What is to become of a wait without end.
    public enum StallAnswer: Sendable {
        /// Something has been done: wait on.
        case lookAgain
        /// The wait ends with `EINTR`, as by a signal.
        case interrupt
        /// A failure: the default.
        case fail
    }

    enum RingState {
        case none
        case disabled
        case enabled(thread: pthread_t)
        case closed
    }

    var random: SplitMix64
    var ring: SimulatedRing?
    var ringState = RingState.none
    var time: UInt64
    var events = EventQueue()
    var trace_: Trace
    var oneShots = OneShots()
    var waker: SimulatedWaker?

    /// Operations that are not completed, by their own number.
    var operations: [UInt64: Operation] = [:]
    var nextOperation: UInt64 = 1
    /// Operations that can go on, and results that are to be posted: what Linux calls task work.
    var deferredWork: [DeferredWork] = []
    /// Completions posted so far but for those of timeouts: what a timeout with a count counts.
    var completionCount: UInt64 = 0
    /// Timeouts with a count.
    var countedTimeouts: [Operation] = []
    /// Zero-copy sends whose memory the kernel has not let go of.
    var unnotified: [Operation] = []
    private var clockReads = 0
    /// The wait that is under way ends, or else the next one.
    var isInterrupted = false
    /// Where a ``Simulation`` looks at its condition: at each enter, and when an enter that waits has done what was due.
    var onLook: (() -> Void)?

    enum DeferredWork {
        case attempt(Operation)
        case finish(Operation, Int32)
        case notify(Operation)
    }

    /// Rings of provided buffers, in the order of their groups.
    var bufferRings: [ProvidedBuffers] = []
    var providedMemory = ProvidedMemory()
    var memory = KernelMemory()

    var descriptors: [OpenFile?] = []
    /// No descriptor below this place is free.
    var lowestFree = 0
    var bindings = Bindings()
    var fileSystem = FileSystem()
    /// Peers of the test that are connected: kept, so that a script goes on though the test dropped its peer.
    var peers: [SimulatedPeer] = []
    /// Peers and listeners of the test that something has happened to.
    var toPump: [any Pumped] = []
    var peerCount = 0
    var isPumping = false
    /// Whether an enter is under way, which shows at its end what is left to do.
    var isEntered = false

    public init(seed: UInt64 = 0, configuration: Configuration = Configuration()) {
        self.configuration = configuration
        faults = configuration.faults
        random = SplitMix64(seed: seed)
        time = configuration.startTime
        trace_ = Trace(limit: configuration.traceLimit)
    }

    deinit {
        // The two ends of a connection hold each other.
        for peer in peers { peer.forget() }
        for case let socket as Socket in descriptors { socket.forget() }
    }

    // MARK: - What a test may ask

    /// Operations that were consumed and have not completed, in the order of their submission.
    public var inFlight: [InFlightOperation] { orderedOperations.map(\.inFlight) }
    public var inFlightCount: Int { operations.count }
    /// Descriptors that are open: sockets, files, the waker's.
    public var openDescriptors: Int { descriptors.count { $0 != nil } }
    /// The last events, oldest first.
    public var trace: [TraceEvent] { trace_.all }
    /// How many events are not in ``trace`` any more.
    public var droppedTraceEvents: Int { trace_.dropped }

    var orderedOperations: [Operation] { operations.values.sorted { $0.id < $1.id } }

    // MARK: - The ring

    public func open(_ request: RingRequest) throws(RingUnavailable) -> RingMemory {
        guard case .none = ringState else { preconditionFailure("open() is called once") }
        if let errno = oneShots.takeFailure(of: .open) { throw unavailable(errno) }
        guard request.submissionEntries > 0 else { throw unavailable(.invalidArgument) }
        let submissions = SimulatedKernel.powerOfTwo(request.submissionEntries, limit: 32_768)
        let completions = SimulatedKernel.powerOfTwo(
            max(request.completionEntries, Int(submissions)), limit: 65_536)
        let ring = SimulatedRing(
            submissionEntries: submissions, completionEntries: completions, startingAt: configuration.ringIndexStart)
        self.ring = ring
        ringState = .disabled
        return unsafe ring.memory
    }

    private static func powerOfTwo(_ entries: Int, limit: UInt32) -> UInt32 {
        var rounded: UInt32 = 1
        while rounded < limit, Int(rounded) < entries { rounded *= 2 }
        return rounded
    }

    func unavailable(_ errno: Errno) -> RingUnavailable {
        RingUnavailable(errno: errno, disabledSetting: nil, lockedMemoryLimit: nil, kernelVersion: "simulated")
    }

    public func enable() throws(Errno) {
        if let errno = oneShots.takeFailure(of: .enable) { throw errno }
        // io_register_enable_rings: EBADFD for a ring that is not disabled.
        guard case .disabled = ringState else { throw Errno(rawValue: EBADFD) }
        ringState = .enabled(thread: pthread_self())
    }

    public func close() {
        guard let ring else { return }
        if !operations.isEmpty {
            violation("the ring is closed over \(operations.count) operations in flight: their memory is not safe to free")
        }
        // Linux cancels what is left, some time after the close: trap 2.
        for operation in orderedOperations { forget(operation) }
        if ring.submissionsReady > 0 {
            violation("the ring is closed with \(ring.submissionsReady) entries in the submission queue")
        }
        waker?.detach()
        // Scripts name the reactor, the reactor its kernel, and the kernel its peers; now no script has anything to do.
        for peer in peers { peer.endScript() }
        self.ring = nil
        ringState = .closed
        unnotified = []
        bufferRings = []
        providedMemory = ProvidedMemory()
        memory = KernelMemory()
    }

    // MARK: - Time

    public func now() -> UInt64 {
        // Whoever does nothing but read the clock waits for it to move.
        clockReads += 1
        if clockReads > 1_000 {
            // The longer, the faster: a minute takes seconds.
            time += UInt64(clockReads)
            showDeferredWork()
        }
        return time
    }

    func clockMayStand() {
        clockReads = 0
    }

    /// Lets time pass, as if the library computed for so long. Steps of the test's script that become due are done; what
    /// becomes due in the ring waits for the next enter.
    public func advance(by duration: Duration) {
        let target = time + SimulatedKernel.nanoseconds(duration)
        while let event = events.popScript(until: target) {
            time = max(time, event.due)
            if case .script(let body) = event.action { body() }
            pumpPeers()
        }
        time = target
        showDeferredWork()
    }

    /// Does `body` when so much simulated time has passed: a step of a test's script, while the library runs.
    public func schedule(after duration: Duration, _ body: @escaping () -> Void) {
        events.schedule(.script(body), at: time + SimulatedKernel.nanoseconds(duration))
    }

    static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        precondition(seconds >= 0 && attoseconds >= 0, "time does not go backwards")
        return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }

    // MARK: - Failing loudly

    func record(_ step: TraceEvent.Step) {
        let event = TraceEvent(time: time, step: step)
        trace_.record(event)
        onTrace?(event)
    }

    /// The library did what it must not.
    func violation(_ message: String) {
        record(.fault("violation: \(message)"))
        if let onViolation {
            onViolation(message)
            return
        }
        fatalError("SimulatedKernel: \(message)\n\(state)")
    }

    /// What is open, in flight and under way, and the last events: for messages.
    public var state: String {
        var lines = ["at \(time) ns: \(operations.count) operations in flight, \(openDescriptors) descriptors open"]
        if let ring {
            let (toConsume, toRead) = (ring.submissionsReady, ring.completionsReady)
            lines.append("ring: \(toConsume) to consume, \(toRead) to read, \(ring.backlog.count) overflowed")
        }
        lines += inFlight.prefix(64).map { "  \($0)" }
        lines.append("last events:")
        lines += trace.suffix(40).map { "  \($0)" }
        return lines.joined(separator: "\n")
    }
}
