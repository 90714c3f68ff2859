import CLiburing
import CReactorSupport
import DequeModule
import Synchronization
import SystemPackage

/// The connections of a reactor: one core for both styles. What is special to sending, receiving and ending is in the
/// files beside this one.
///
/// Handlers are called from here only, out of the loop and never from within a call they make themselves.
final class ConnectionTable {
    let core: LoopCore
    let slots: Slab<ConnectionSlot>
    /// Tells the handles of one reactor from those of another.
    let reactorNumber: UInt8
    /// Those with something to send that is not on its way.
    let dirty = FIFO<UInt32>()
    /// Vectors for sends of several pieces, used again.
    var freeVectors: [VectorBlock] = []
    var freeLargeVectors: [VectorBlock] = []
    /// Those that wait for a receive buffer, who waited longest first.
    let starved = FIFO<UInt32>()
    /// The receives that start now are those of connections that have waited.
    var isFeeding = false
    /// Those whose peers take no more, and some that did not for a while.
    var stalledConnections: [UInt32] = []
    /// Bytes that the network reads where they are.
    let zeroCopies = Slab<ZeroCopyHold>(limit: ConnectionTable.mostZeroCopies)
    /// Work for the next turn that has no connection to go to.
    private var deferred = Deque<Mailbox.Job>()

    /// That of the thread's reactor, if one runs there.
    @inline(__always)
    static var current: UncountedReference<ConnectionTable>? {
        guard let reactor = unsafe creactor_current() else { return nil }
        return unsafe Unmanaged<Reactor>.fromOpaque(reactor)._withUnsafeGuaranteedRef { $0.uncounted.connections }
    }

    private static let reactorsMade = Atomic<UInt8>(0)

    init(core: LoopCore, limit: Int) {
        self.core = core
        slots = Slab(limit: limit)
        reactorNumber = ConnectionTable.reactorsMade.wrappingAdd(1, ordering: .relaxed).newValue
    }

    deinit {
        // Only a reactor that never ran still has connections; nothing of them is in the kernel.
        for index in slots.indices where slots[index].state != .vacant {
            slots[index].driver?.release()
            if slots[index].descriptor >= 0 { core.kernel.close(FileDescriptor(rawValue: slots[index].descriptor)) }
        }
    }

    /// Connections that are not yet closed.
    var count: Int { slots.count }

    func handle(_ index: UInt32) -> Connection {
        Connection(slot: index, generation: slots[index].generation, reactor: reactorNumber)
    }

    /// The slot of a handle, if its connection has not ended.
    @inline(__always)
    func index(of connection: Connection) -> UInt32? {
        let index = connection.slot
        guard slots.isCurrent(index, generation: connection.generation), slots[index].state != .vacant else { return nil }
        return index
    }

    func token(_ kind: OperationToken.Kind, _ index: UInt32) -> OperationToken {
        OperationToken(kind, slot: index, generation: slots[index].generation)
    }

    // MARK: - Beginning

    /// Takes over a connected socket. Nil, and the socket is the caller's, if there are as many connections as may be.
    func adopt(
        _ socket: FileDescriptor, family: AddressFamily, group: ConnectionGroup?, limits: ConnectionLimits,
        makeDriver: (Connection) throws -> ConnectionDriver
    ) -> Connection? {
        guard !core.isDraining, let index = slots.take() else { return nil }
        begin(index, socket.rawValue, family, group, limits)
        do {
            slots[index].driver = UncountedReference(retaining: try makeDriver(handle(index)))
        } catch {
            failed(index, with: error)
            slots[index].state.move(.opened)
            end(index, .handlerFailed)
            return handle(index)
        }
        slots[index].state.move(.opened)
        opened(index)
        return handle(index)
    }

    /// Makes a socket and connects it. A failure, also one that happens right here, is delivered on a later turn as
    /// ``CloseReason/connectFailed(_:)``.
    func connect(
        to address: SocketAddress, timeout: Duration?, options: ConnectionOptions, socketOptions: [SocketOption: Int],
        driver: ConnectionDriver
    ) -> Connection {
        guard let index = slots.take() else {
            let error = IOError(.connect, .noBufferSpace, target: address.description)
            let stale = Connection(slot: Slab<ConnectionSlot>.end, generation: 0, reactor: reactorNumber)
            later { _ = try driver.handle(.closed(.connectFailed(error)), on: stale) }
            return stale
        }
        begin(index, -1, address.family, nil, ConnectionLimits(options))
        slots[index].driver = UncountedReference(retaining: driver)
        slots[index].state.move(.connectStarted)
        slots[index].attachment = SocketAddressMemory(address)
        slots[index].inFlight = 1
        guard !core.isDraining else {
            core.deliver(token(.connect, index), result: -ECANCELED)
            return handle(index)
        }
        do {
            let socket = try core.kernel.socket(address.family)
            slots[index].descriptor = socket.rawValue
            if address.family != .unix {
                for (option, value) in socketOptions.inOrder { try core.kernel.setOption(option, to: value, on: socket) }
            }
        } catch {
            core.deliver(token(.connect, index), result: -error.rawValue)
            return handle(index)
        }
        if let timeout {
            slots[index].deadline = core.deadline(after: timeout)
            schedule(index)
        }
        startConnect(index)
        return handle(index)
    }

    private func begin(
        _ index: UInt32, _ descriptor: Int32, _ family: AddressFamily, _ group: ConnectionGroup?, _ limits: ConnectionLimits
    ) {
        let generation = slots[index].generation
        slots[index] = ConnectionSlot()
        slots[index].generation = generation
        slots[index].descriptor = descriptor
        slots[index].group = group
        slots[index].limits = limits
        // Linux can lose the end of the stream on a Unix socket when bytes and the end come at once:
        // https://github.com/axboe/liburing/issues/1549.
        if family == .unix { slots[index].flags.insert(.noMultishot) }
        slots[index].lastActivity = core.now
        group?.count += 1
    }

    private func startConnect(_ index: UInt32) {
        guard let address = slots[index].attachment as? SocketAddressMemory else { return }
        let descriptor = slots[index].descriptor
        unsafe core.start(.connect, token(.connect, index)) {
            unsafe io_uring_prep_connect($0, descriptor, address.pointer, address.length)
        }
    }

    private func connectCompleted(_ index: UInt32, _ result: Int32) {
        slots[index].inFlight -= 1
        guard slots[index].state == .connecting else { return joinIfAlone(index) }
        if result == -EINTR {
            core.statistics.retries &+= 1
            slots[index].inFlight += 1
            return startConnect(index)
        }
        let address = (slots[index].attachment as? SocketAddressMemory)?.address
        slots[index].attachment = nil
        guard result == 0 else {
            let errno = Errno(rawValue: -result)
            return end(index, .connectFailed(IOError(.connect, errno, target: address?.description)))
        }
        slots[index].deadline = 0
        slots[index].state.move(.opened)
        opened(index)
    }

    private func opened(_ index: UInt32) {
        core.statistics.connectionsOpened &+= 1
        slots[index].lastActivity = core.now
        let readsOnDemand = slots[index].driver?.use { $0.readsOnDemand } ?? false
        if readsOnDemand { slots[index].flags.formUnion([.paused, .noMultishot]) }
        schedule(index)
        deliver(.opened, to: index)
        receive(index)
    }

    // MARK: - What has come

    /// Handles a completion that names a connection.
    @inline(__always)
    func complete(_ completion: Completion, _ token: OperationToken) {
        let index = token.slot
        guard slots.isCurrent(index, generation: token.generation), slots[index].state != .vacant else {
            if index == Slab<ConnectionSlot>.end { return runDeferred() }
            core.statistics.staleCompletions &+= 1
            // Nobody is there to take what it brought; the buffer is the ring's all the same.
            if token.kind == .receive { core.rings?.discard(completion) }
            return
        }
        switch token.kind {
        case .receive:
            core.statistics.completedByKind[.receive] &+= 1
            receiveCompleted(index, completion)
        case .send:
            core.statistics.completedByKind[.send] &+= 1
            sendCompleted(index, completion.result)
        case .connect:
            core.statistics.completedByKind[.connect] &+= 1
            connectCompleted(index, completion.result)
        case .close:
            core.statistics.completedByKind[.close] &+= 1
            closeCompleted(index)
        case .writable:
            core.statistics.completedByKind[.poll] &+= 1
            writableCompleted(index, completion.result)
        case .cancelOperation:
            core.statistics.completedByKind[.cancel] &+= 1
            cancelCompleted(index, completion.result)
        default: isReady(index)
        }
    }

    /// Has the connection looked at in the next turn.
    func makeReady(_ index: UInt32) {
        guard !slots[index].flags.contains(.ready) else { return }
        slots[index].flags.insert(.ready)
        core.deliver(token(.connectionReady, index), result: 0)
    }

    private func isReady(_ index: UInt32) {
        slots[index].flags.remove(.ready)
        if slots[index].state == .closing { return joinIfAlone(index) }
        guard slots[index].state.isLive else { return }
        deliverHeld(index)
        guard slots[index].state.isLive, let driver = slots[index].driver else { return }
        perform(index) { try driver.use { try $0.resume(handle(index)) } }
        receive(index)
    }

    /// The end of a turn: buffers whose slices are gone go back to the kernel, and what was queued is sent.
    func finishTurn(sendingAtMost most: Int) {
        if let rings = core.rings {
            rings.reclaim()
            if rings.small.isScarce {
                compactStalled()
                rings.reclaim()
            }
            feedStarved()
        }
        flush(atMost: most)
    }

    /// Whether there is something left of this turn. Who waits for a buffer must not be left waiting for one that was handed
    /// to somebody who receives nothing.
    var hasWork: Bool { !dirty.isEmpty || !starved.isEmpty && (core.rings?.small.available ?? 0) > 0 }

    // MARK: - The handler

    /// Tells the handler, and does what it answers.
    @inline(__always)
    func deliver(_ event: ConnectionEvent, to index: UInt32, closingWith reason: CloseReason = .closed) {
        guard let driver = slots[index].driver else { return }
        perform(index, closingWith: reason) { try driver.use { try $0.handle(event, on: handle(index)) } }
    }

    @inline(__always)
    private func perform(_ index: UInt32, closingWith reason: CloseReason = .closed, _ body: () throws -> NextStep) {
        do {
            switch try body() {
            case .continue: break
            case .close: close(index, reason)
            case .abort: end(index, reason == .closed ? .aborted : reason)
            }
        } catch {
            failed(index, with: error)
            end(index, .handlerFailed)
        }
    }

    /// Counts and reports an error that a handler threw.
    func failed(_ index: UInt32, with error: any Error) {
        core.statistics.errorsThrown &+= 1
        core.report(.handlerThrew(error, connection: handle(index)))
    }

    /// Does something on the next turn that has no connection to go to.
    func later(_ job: @escaping () throws -> Void) {
        nonisolated(unsafe) let job = job // Never leaves this thread.
        deferred.append(Mailbox.Job { unsafe try job() })
        core.deliver(OperationToken(.connectionReady, slot: Slab<ConnectionSlot>.end, generation: 0), result: 0)
    }

    private func runDeferred() {
        guard let job = deferred.popFirst() else { return }
        do {
            try job.body()
        } catch {
            core.statistics.errorsThrown &+= 1
            core.report(.jobThrew(error))
        }
    }

    // MARK: - Deadlines

    func setDeadline(_ connection: Connection, after delay: Duration?) {
        guard let index = index(of: connection), slots[index].state.isLive else { return }
        slots[index].deadline = delay.map { core.deadline(after: $0) } ?? 0
        schedule(index)
    }

    /// Has the driver told when a receive has waited for so long; nil for never.
    func setReceiveDeadline(_ connection: Connection, after delay: Duration?) {
        guard let index = index(of: connection), slots[index].state.isLive else { return }
        slots[index].receiveDeadline = delay.map { core.deadline(after: $0) } ?? 0
        schedule(index)
    }

    /// Sees to it that the timer queue has an entry no later than what comes first.
    func schedule(_ index: UInt32) {
        let due = nextDeadline(index)
        guard due != 0, slots[index].timerAt == 0 || due < slots[index].timerAt else { return }
        // The idle timeout's, as a rule. Entered anew after each deadline, it would be there a thousand times.
        slots[index].overtakenTimerAt = slots[index].timerAt
        slots[index].timerAt = due
        core.timers.add(token(.connectionReady, index), at: due)
    }

    private func nextDeadline(_ index: UInt32) -> UInt64 {
        // The end of time stands for never.
        func orNever(_ time: UInt64) -> UInt64 { time == 0 ? .max : time }
        var due = min(orNever(slots[index].deadline), orNever(slots[index].writeDeadline), orNever(slots[index].retryAt))
        if slots[index].state.isLive {
            due = min(due, orNever(slots[index].receiveDeadline), orNever(idleDeadline(index)))
        }
        return due == .max ? 0 : due
    }

    private func idleDeadline(_ index: UInt32) -> UInt64 {
        guard slots[index].limits.idle > 0 else { return 0 }
        let (idle, overflow) = slots[index].lastActivity.addingReportingOverflow(slots[index].limits.idle)
        return overflow ? 0 : idle
    }

    /// An entry of the timer queue is due. It may have been made for a deadline that has moved since.
    func timeIsUp(_ token: OperationToken) {
        let index = token.slot
        // An entry that was overtaken twice is nobody's any more. Taken for a live one it would be entered again each time
        // it is due, for good.
        guard isTimed(token), slots[index].timerAt <= core.now else { return }
        slots[index].timerAt = slots[index].overtakenTimerAt
        slots[index].overtakenTimerAt = 0
        defer { if slots[index].state != .vacant { schedule(index) } }
        let due = nextDeadline(index)
        guard due != 0, due <= core.now else { return }
        if slots[index].state.sends {
            if due == slots[index].writeDeadline { return writeDeadlinePassed(index) }
            if due == slots[index].retryAt { return retryIsDue(index) }
        }
        switch slots[index].state {
        case .connecting:
            let target = (slots[index].attachment as? SocketAddressMemory)?.address.description
            slots[index].deadline = 0
            end(index, .connectFailed(IOError(.connect, .timedOut, target: target)))
        case .flushing:
            slots[index].deadline = 0
            end(index, .closeTimedOut)
        case .lingering:
            // All was sent; that the peer did not end its side is its own affair.
            slots[index].deadline = 0
            end(index, .closed)
        case .open, .peerEnded, .sendingEnded:
            if due == slots[index].receiveDeadline {
                slots[index].receiveDeadline = 0
                guard let driver = slots[index].driver else { return }
                perform(index) { try driver.use { try $0.receiveTimedOut(handle(index)) } }
            } else if due == slots[index].deadline {
                slots[index].deadline = 0
                deliver(.timedOut, to: index, closingWith: .deadline)
            } else {
                slots[index].lastActivity = core.now
                deliver(.timedOut, to: index, closingWith: .idle)
            }
        case .vacant, .closing, .closed:
            slots[index].deadline = 0
            slots[index].writeDeadline = 0
            slots[index].retryAt = 0
        }
    }

    /// Whether an entry of the timer queue still has somebody to tell.
    func isTimed(_ token: OperationToken) -> Bool {
        slots.isCurrent(token.slot, generation: token.generation) && slots[token.slot].timerAt != 0
    }

    // MARK: - Questions

    func state(of connection: Connection) -> ConnectionState {
        index(of: connection).map { slots[$0].state } ?? .vacant
    }

    func pendingBytes(of connection: Connection) -> Int {
        index(of: connection).map { slots[$0].queue.pendingBytes } ?? 0
    }

    private func descriptor(of connection: Connection) -> FileDescriptor? {
        guard let index = index(of: connection), slots[index].state != .closed, slots[index].descriptor >= 0 else {
            return nil
        }
        return FileDescriptor(rawValue: slots[index].descriptor)
    }

    func remoteAddress(of connection: Connection) -> SocketAddress? {
        descriptor(of: connection).flatMap { try? core.kernel.remoteAddress(of: $0) }
    }

    func localAddress(of connection: Connection) -> SocketAddress? {
        descriptor(of: connection).flatMap { try? core.kernel.localAddress(of: $0) }
    }
}
