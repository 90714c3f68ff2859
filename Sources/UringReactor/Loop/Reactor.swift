import CLiburing
import CReactorSupport
import Glibc
import SystemPackage

/// An event loop over io_uring, owned by one thread.
///
/// Operations are started with callbacks (``send(_:to:timeout:_:)-(Bytes,_,_,_)``, ``accept(on:timeout:_:)``, …) or
/// belong to connections, whose handlers are state machines (``connect(to:timeout:options:socketOptions:handler:)``,
/// ``Server``) or callbacks too. What is started in one turn of the loop goes to the kernel in one system call.
///
/// ```swift
/// let reactor = try Reactor()
/// reactor.after(.seconds(1)) { print("a second has passed"); reactor.stop() }
/// try reactor.run()
/// ```
///
/// **Threads.** A reactor belongs to the thread that made it until ``run(_:)`` is called, and from then on to the one
/// that called that. Use from any other thread ends the process with a message; ``handle`` is the way in from there.
///
/// **Life.** It runs once. ``run(_:)`` returns when nothing is in flight any more, so when it has returned the kernel
/// touches no memory of ours; only after ``pause()`` it returns before, to be called again. An operation started after the
/// end ends the process with a message, because its callback could never be called; cancelling is harmless.
@safe public final class Reactor {
    let core: LoopCore
    let registry: CallbackRegistry
    let connections: ConnectionTable
    /// The same two, for handles that find the reactor by its thread: what they call them by is not counted.
    let uncounted: (registry: UncountedReference<CallbackRegistry>, connections: UncountedReference<ConnectionTable>)
    private let mailbox: Mailbox
    private let waker: any Waker
    let configuration: ReactorConfiguration
    /// The servers attached to this reactor, kept alive until they have ended.
    var servers: [UInt64: Server] = [:]
    private var serversAttached: UInt64 = 0

    private enum Phase {
        /// Made, not yet running.
        case new
        case running
        /// ``run(_:)`` has returned because of ``pause()``, and will be called again.
        case paused
        /// ``stop()`` was called; everything is being ended.
        case draining
        case finished
    }
    private var phase = Phase.new
    private var stopRequested = false
    private var pauseRequested = false
    private var wakePollIsArmed = false
    /// The cancel of everything, at the end, is in flight.
    private var sweepIsInFlight = false
    /// Nobody can hand in more.
    private var mailboxIsClosed = false
    /// When to sweep again what has not ended by then.
    private var nextSweep: UInt64 = 0
    /// When the notifications of zero-copy sends are no longer waited for.
    private var zeroCopiesAbandonedAt: UInt64 = 0
    /// Completions of the kernel's that the last turn has handled.
    private var completedInTurn = 0
    /// The thread that may use the reactor; see ``assertOwner()``.
    private var owner: UInt

    /// A reactor over the kernel it is given, by default Linux's io_uring.
    ///
    /// Operations may be started right away, on this thread; they go to the kernel when ``run(_:)`` is called.
    ///
    /// - Parameters:
    ///   - configuration: sizes and limits, read once.
    ///   - kernel: one that no other reactor uses.
    /// - Throws: ``RingUnavailable``, with the cause and the remedy, where io_uring is missing or forbidden.
    public init(
        configuration: ReactorConfiguration = ReactorConfiguration(), kernel: any Kernel = IOUringKernel()
    ) throws(RingUnavailable) {
        precondition(configuration.workPerTurn > 0, "\(configuration.workPerTurn) completions a turn")
        let request = RingRequest(
            submissionEntries: configuration.submissionEntries, completionEntries: configuration.completionEntries)
        let ring = try Ring(kernel: kernel, request: request)
        do {
            waker = try kernel.makeWaker()
        } catch {
            kernel.close()
            throw error
        }
        self.configuration = configuration
        mailbox = Mailbox(waker: waker)
        core = LoopCore(ring: ring, configuration: configuration)
        connections = ConnectionTable(core: core, limit: configuration.maximumConnections)
        registry = CallbackRegistry(
            core: core, limit: configuration.maximumOperations, reactorNumber: connections.reactorNumber)
        uncounted = (UncountedReference(to: registry), UncountedReference(to: connections))
        owner = creactor_thread_identity()
        core.isLiveTimer = { [unowned registry, unowned connections] token in
            token.kind == .callback ? registry.isTimed(token) : connections.isTimed(token)
        }
    }

    deinit {
        if phase == .paused {
            mailbox.discard()
            leaveToKernel()
            if unsafe creactor_current() == Unmanaged.passUnretained(self).toOpaque() { setCurrent(nil) }
        }
        guard phase == .new else { return }
        mailbox.discard()
        core.ring.close()
        waker.close()
    }

    /// The reactor that runs on the calling thread, or was paused there last, or nil. Inside of callbacks and handlers never
    /// nil.
    public static var current: Reactor? {
        guard let pointer = unsafe creactor_current() else { return nil }
        return unsafe Unmanaged<Reactor>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// What other threads may use of the reactor: it can be sent to them. Take it on the reactor's thread.
    public var handle: ReactorHandle { ReactorHandle(mailbox: mailbox) }

    /// What the reactor's kernel offers beyond Linux 6.1, as found by trying when the reactor was made.
    public var capabilities: Capabilities { core.kernel.capabilities }

    /// Nanoseconds of the kernel's CLOCK_MONOTONIC, as of the beginning of this turn.
    public var now: UInt64 { core.now }

    /// What the reactor has done so far. A copy of some ten kilobytes: for once a second, not for each message.
    public var statistics: Statistics {
        assertOwner()
        var copy = core.statistics
        let ring = core.ring.counters
        copy.enters = ring.enters
        copy.waits = ring.waits
        copy.submitted = ring.submitted
        copy.interruptedEnters = ring.interrupted
        copy.partialSubmits = ring.partialSubmits
        copy.submissionOverflows = ring.submissionOverflows
        copy.completionOverflows = ring.completionOverflows
        copy.operations = registry.count
        copy.operationsHighWaterMark = registry.slots.highWaterMark
        copy.connections = connections.count
        copy.connectionsHighWaterMark = connections.slots.highWaterMark
        copy.receiveBufferAllocations = core.buffers.allocations
        if let small = core.rings?.small {
            copy.receiveBuffersInUse = small.inUse
            copy.receiveBuffersHighWaterMark = small.count - small.fewestAvailable
        }
        copy.largeReceiveBuffersInUse = core.rings?.large.inUse ?? 0
        copy.pooledBuffersInUse = core.buffers.usage.reduce(0) { $0 + $1.inUse }
        copy.connectionsWithoutBuffer = connections.starved.count
        copy.zeroCopySendsInFlight = connections.zeroCopies.count
        copy.servers = servers.count
        return copy
    }

    /// Keeps a server alive until it has ended, and numbers it.
    func attach(_ server: Server) -> UInt64 {
        serversAttached += 1
        servers[serversAttached] = server
        return serversAttached
    }

    // MARK: - Running

    /// When ``run(_:)`` returns for good.
    public enum RunMode: Sendable {
        /// When ``stop()`` is called: for servers, and for reactors that live on posts from other threads.
        case untilStopped
        /// When there is nothing left to do: no operation, no timer, no connection. For clients.
        case untilIdle
    }

    /// Runs the loop on the calling thread, which owns the reactor from now on.
    ///
    /// Returns when ``stop()`` was called (or nothing is left to do) and everything in flight has ended: connections are
    /// closed, callbacks of what was still waiting have been called with `ECANCELED`.
    ///
    /// - Throws: ``ReactorError``.
    public func run(_ mode: RunMode = .untilStopped) throws(ReactorError) {
        guard phase == .new || phase == .paused else { throw phase == .finished ? .finished : .nested }
        // One that is paused makes room.
        guard Reactor.current?.isPaused ?? true else { throw .nested }
        setCurrent(self)
        defer { if phase != .paused { setCurrent(nil) } }
        if phase == .paused {
            assertOwner()
            phase = .running
        } else {
            try begin()
        }
        core.readClock()
        while true {
            if phase == .running {
                if stopRequested || mode == .untilIdle && isIdle {
                    beginDraining()
                } else if pauseRequested {
                    pauseRequested = false
                    phase = .paused
                    return
                }
            } else if hasDrained {
                if mailboxIsClosed { break }
                // What was posted before still runs; what these jobs post does not, or one that always posts itself again
                // would keep the reactor from ending.
                mailboxIsClosed = true
                for case let job? in mailbox.close() { perform(job.body) }
            }
            turn()
            if let error = enterKernel(mode) { throw fail(error) }
        }
        phase = .finished
        core.isRunning = false
        connections.abandonZeroCopies()
        registry.releaseHandlers()
        core.ring.close()
        waker.close()
    }

    private func setCurrent(_ reactor: Reactor?) {
        unsafe creactor_set_current(reactor.map { unsafe Unmanaged.passUnretained($0).toOpaque() })
    }

    private func begin() throws(ReactorError) {
        owner = creactor_thread_identity()
        if configuration.ignoresBrokenPipeSignal { Reactor.ignoreBrokenPipeSignal() }
        do {
            try core.ring.enable()
        } catch {
            throw fail(.ringFailed(error as? Errno ?? .invalidArgument))
        }
        core.isRunning = true
        phase = .running
        armWakePoll()
    }

    /// Has ``run(_:)`` return at the end of this turn, or, before it is called, at once, with everything as it is:
    /// connections open, operations in flight, completions waiting. Calling it again, on the same thread, goes on from
    /// there. For a thread that has other things to do now and then, and for tests that look at what has happened so far.
    ///
    /// Nothing happens while it is paused; the thread may use it, its servers and its connections as a handler would, until
    /// another reactor runs on it. A reactor that stops does not pause, and one that is let go of while it is paused leaks
    /// what the kernel still has: ``stop()`` it, and run it to its end.
    public func pause() {
        assertOwner()
        pauseRequested = true
    }

    /// Whether ``run(_:)`` has returned because of ``pause()``.
    public var isPaused: Bool { phase == .paused }

    /// Ends the loop: connections are closed at once, what waits is cancelled, and ``run(_:)`` returns when all that has
    /// ended. Takes effect at the end of the turn; before ``run(_:)``, as soon as that is called. To let connections
    /// send what is queued first, stop the server (``Server/stop()``). From the reactor's thread; from others,
    /// `handle.stop()`. More than once is harmless.
    public func stop() {
        assertOwner()
        stopRequested = true
    }

    /// Whether ``stop()`` was called or the reactor has ended. What is started while it stops ends with `ECANCELED`, but
    /// for what need not wait for anybody: close, shutdown, fsync, cancel and no-op.
    public var isStopping: Bool { stopRequested || phase == .draining || phase == .finished }

    /// One turn: all that is ready is handled, each kind within what was there when its round began, so that none
    /// starves the others.
    private func turn() {
        core.statistics.turns &+= 1
        if mailbox.hasWork { runPosted() }
        runTimers()
        for _ in 0..<min(core.readyCount, configuration.workPerTurn) {
            guard let completion = core.nextReady() else { break }
            dispatch(completion)
        }
        var handled = 0
        let most = min(core.ring.completionsReady, configuration.workPerTurn)
        while handled < most, let completion = core.ring.nextCompletion() {
            handled += 1
            dispatch(completion)
        }
        completedInTurn = handled
        if handled > 0 {
            core.statistics.completed &+= UInt64(handled)
            core.statistics.completionsPerTurn.record(UInt64(handled))
        }
        connections.finishTurn(sendingAtMost: configuration.workPerTurn)
    }

    /// The one system call of a turn: submits, and waits if there is nothing else to do.
    private func enterKernel(_ mode: RunMode) -> ReactorError? {
        let ring = core.ring
        let needsReap = ring.needsReap()
        core.readClock()
        if core.batching.form != .turn, completedInTurn > 0 {
            // Under a threshold what is queued waits for more as long as something completes.
            return needsReap ? finish(ring.reap()) : nil
        }
        var due = core.timers.next
        if phase == .draining {
            sweepAgainIfDue()
            due = min(due ?? .max, nextSweep)
        }
        let hasWork = ring.completionsReady > 0 || core.hasReady || connections.hasWork || mailbox.hasWork
        if hasWork || due ?? .max <= core.now || mustDecide(mode) {
            // Reaping too: timers that are due again and again must not keep the completions waiting.
            return ring.queued > 0 || needsReap ? finish(ring.enter(wait: false)) : nil
        }
        guard mailbox.mayWait() else { return nil }
        let result = ring.enter(wait: true, timeout: due.map { $0 - core.now })
        mailbox.wokeUp()
        return finish(result)
    }

    private func finish(_ result: Ring.EnterResult) -> ReactorError? {
        core.readClock()
        if case .failed(let errno) = result { return .ringFailed(Errno(rawValue: errno)) }
        return nil
    }

    /// Whether the loop has to look at its own state before it may wait.
    private func mustDecide(_ mode: RunMode) -> Bool {
        switch phase {
        case .running: stopRequested || pauseRequested || mode == .untilIdle && isIdle
        case .draining: hasDrained
        case .new, .paused, .finished: true
        }
    }

    private var isIdle: Bool {
        registry.count == 0 && connections.count == 0 && !core.hasReady && !mailbox.hasWork
    }

    private func fail(_ error: ReactorError) -> ReactorError {
        phase = .finished
        mailbox.discard()
        leaveToKernel()
        return error
    }

    /// The kernel may still hold our memory, so nothing of it is ever freed.
    private func leaveToKernel() {
        _ = unsafe Unmanaged.passRetained(core)
        _ = unsafe Unmanaged.passRetained(registry)
        _ = unsafe Unmanaged.passRetained(connections)
    }

    // MARK: - What is ready

    @inline(__always)
    private func dispatch(_ completion: Completion) {
        let token = OperationToken(rawValue: completion.userData)
        if token.isOf(.callback) { return registry.complete(completion, token) }
        switch token.kind {
        case .callback: break
        case .receive, .send, .writable, .connect, .close, .cancelOperation, .connectionReady:
            connections.complete(completion, token)
        case .sendZeroCopy: connections.zeroCopyCompleted(completion, token)
        case .cancel: registry.completeCancel(token, result: completion.result)
        case .wakeUp: completeWakePoll(completion)
        case .sweep:
            core.statistics.completedByKind[.cancel] &+= 1
            sweepIsInFlight = false
        case nil: core.statistics.staleCompletions &+= 1
        }
    }

    private func runPosted() {
        for case let job? in mailbox.takeAll() { perform(job.body) }
    }

    private func perform(_ job: () throws -> Void) {
        do {
            try job()
        } catch {
            core.statistics.errorsThrown &+= 1
            core.report(.jobThrew(error))
        }
    }

    private func runTimers() {
        guard !core.timers.isEmpty else { return }
        // A timer that is due again at once is due in the next turn.
        for _ in 0..<core.timers.count {
            guard let token = core.timers.popDue(at: core.now) else { return }
            if token.kind == .callback {
                registry.timeIsUp(token)
            } else {
                connections.timeIsUp(token)
            }
        }
    }

    // MARK: - Waking up

    private func armWakePoll() {
        wakePollIsArmed = true
        let token = OperationToken(.wakeUp, slot: 0, generation: 0)
        // Multishot and edge-triggered: it fires at each write, and the eventfd is never read (Linux 5.13).
        unsafe core.start(.wakeUp, token) {
            unsafe io_uring_prep_poll_multishot($0, waker.descriptor.rawValue, UInt32(POLLIN))
        }
    }

    private func completeWakePoll(_ completion: Completion) {
        core.statistics.completedByKind[.wakeUp] &+= 1
        if completion.result > 0 { core.statistics.wakeUps &+= 1 }
        guard !completion.hasMore else { return }
        // A completion queue that overflows ends a multishot, too.
        wakePollIsArmed = false
        if phase == .running { armWakePoll() }
    }

    // MARK: - Ending

    private func beginDraining() {
        phase = .draining
        core.isDraining = true
        zeroCopiesAbandonedAt = core.now &+ 1_000_000_000
        for number in servers.keys.sorted() { servers[number]?.reactorStops() }
        connections.closeAll(.reactorStopped)
        registry.cancelTimers()
        registry.noteEverythingCancelled()
        sweep()
    }

    private func sweep() {
        sweepIsInFlight = true
        nextSweep = core.now &+ CallbackRegistry.cancelInterval
        let token = OperationToken(.sweep, slot: 0, generation: 0)
        // Ends all that the kernel has, and all that is queued before this (Linux 5.19).
        let everything = UInt32(IORING_ASYNC_CANCEL_ANY) | UInt32(IORING_ASYNC_CANCEL_ALL)
        unsafe core.start(.cancel, token) { unsafe io_uring_prep_cancel64($0, 0, Int32(everything)) }
    }

    /// What the sweep has missed, the next one finds; see `lookAgain` of the registry.
    private func sweepAgainIfDue() {
        guard core.now >= nextSweep else { return }
        if registry.count > 0 || connections.count > 0 || wakePollIsArmed, !sweepIsInFlight {
            sweep()
        } else {
            nextSweep = core.now &+ CallbackRegistry.cancelInterval
        }
    }

    /// Nothing is in flight. The network may hold on to bytes of a connection that was closed before, for as long as its
    /// peer takes; of those that are broken off now it lets go at once.
    private var hasDrained: Bool {
        registry.count == 0 && connections.count == 0 && !wakePollIsArmed && !sweepIsInFlight && !core.hasReady
            && core.ring.queued == 0 && (connections.zeroCopies.count == 0 || core.now >= zeroCopiesAbandonedAt)
    }

    // MARK: - Threads and signals

    /// Ends the process if the caller is not on the reactor's thread: the ring has one issuer, and nothing here is
    /// locked.
    @inline(__always)
    func assertOwner() {
        if owner != creactor_thread_identity() { Reactor.usedFromWrongThread() }
    }

    @inline(never)
    private static func usedFromWrongThread() -> Never {
        fatalError(
            "A Reactor was used from a thread that does not own it. Hand the work over with reactor.handle.post { … }.")
    }

    private static func ignoreBrokenPipeSignal() {
        var action = sigaction()
        guard unsafe sigaction(SIGPIPE, nil, &action) == 0 else { return }
        let isDefault = unsafe action.__sigaction_handler.sa_handler == nil
        if isDefault { signal(SIGPIPE, SIG_IGN) }
    }
}
