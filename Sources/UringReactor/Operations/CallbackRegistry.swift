import CLiburing
import DequeModule
import SystemPackage

/// The operations that have callbacks, by slot.
///
/// A slot is released when nothing more can arrive for it: after the last completion of the operation and, if a cancel
/// was sent, the cancel's own. Until then all that the kernel may touch is alive, whatever the caller dropped.
@safe final class CallbackRegistry {
    let slots: Slab<CallbackSlot>
    let core: LoopCore
    /// Reusable operations of which nothing is in flight.
    var idle = 0
    /// The slot whose handler is being told something.
    var telling = Slab<CallbackSlot>.end
    /// Tells the handles of one reactor from those of another.
    let reactorNumber: UInt8

    init(core: LoopCore, limit: Int, reactorNumber: UInt8) {
        self.core = core
        self.reactorNumber = reactorNumber
        slots = Slab(limit: limit)
    }

    deinit {
        // Only where the reactor never ran is something still on its way to a handler.
        for index in slots.indices { slots[index].driver.take()?.release() }
    }

    /// Operations that have not ended.
    var count: Int { slots.count - idle }

    // MARK: - Starting

    /// Starts an operation, or arranges for its failure to be delivered on the next turn.
    ///
    /// - Parameter fill: sets what is special about the operation in its slot.
    @inline(__always)
    func start(
        _ kind: OperationKind, on descriptor: Int32, timeout: Duration?, _ callback: consuming Callback,
        _ fill: (inout CallbackSlot) -> Void
    ) -> OperationToken {
        guard let index = slots.take() else { return refuse(kind, consume callback) }
        let slot = unsafe slots.pointer(to: index)
        unsafe slot.pointee.callback = consume callback
        unsafe slot.pointee.descriptor = descriptor
        unsafe slot.pointee.kind = kind
        unsafe slot.pointee.flags = []
        unsafe slot.pointee.pending = 1
        unsafe fill(&slot.pointee)
        return unsafe begin(index, slot, timeout: timeout)
    }

    /// Submits what a slot describes, or, while the reactor ends, arranges for it to fail.
    @inline(__always)
    func begin(_ index: UInt32, _ slot: UnsafeMutablePointer<CallbackSlot>, timeout: Duration?) -> OperationToken {
        let kind = unsafe slot.pointee.kind
        let token = unsafe OperationToken(.callback, slot: index, generation: slot.pointee.generation)
        if core.isDraining, kind.mayWait {
            core.ring.assertOpen()
            unsafe slot.pointee.flags.insert(.cancelled)
            core.deliver(token, result: -ECANCELED)
            return token
        }
        if let timeout {
            unsafe slot.pointee.flags.insert(.timed)
            core.timers.add(token, at: core.deadline(after: timeout))
        }
        unsafe submit(token, slot)
        return token
    }

    /// No slot is left: the callback hears of it on the next turn, by way of a job that needs none.
    @inline(never)
    private func refuse(_ kind: OperationKind, _ callback: consuming Callback) -> OperationToken {
        refused.append(Refused(callback: callback, error: IOError(kind, .noBufferSpace)))
        core.deliver(OperationToken(.callback, slot: Slab<CallbackSlot>.end, generation: 0), result: -ENOBUFS)
        return .none
    }

    private struct Refused {
        let callback: Callback
        let error: IOError
    }
    private var refused = Deque<Refused>()

    /// Queues the submission that the slot describes; for the first time, again after a signal or a short send, or to
    /// re-arm a multishot.
    func submit(_ token: OperationToken) { unsafe submit(token, slots.pointer(to: token.slot)) }

    @inline(__always)
    private func submit(_ token: OperationToken, _ slot: UnsafeMutablePointer<CallbackSlot>) {
        unsafe core.start(slot.pointee.kind, token) { entry in unsafe CallbackRegistry.prepare(entry, slot) }
    }

    // MARK: - Ending

    /// Handles a completion that names a slot.
    @inline(__always)
    func complete(_ completion: Completion, _ token: OperationToken) {
        guard let slot = unsafe slots.find(token.slot, generation: token.generation), unsafe slot.pointee.pending > 0,
            unsafe !slot.pointee.flags.contains(.ended)
        else { return completedForNobody(token) }
        unsafe core.statistics.completedByKind[slot.pointee.kind] &+= 1
        if unsafe slot.pointee.flags.contains(.multishot) {
            completeMultishot(completion, token)
        } else if completion.result >= 0, unsafe slot.pointee.endsWithItsResult {
            // Nothing but a callback and a number: most of all that is started, and nothing of the rest has to be looked at.
            unsafe endWithResult(completion.result, token, slot)
        } else {
            completeOnce(completion.result, token)
        }
    }

    @inline(never)
    private func completedForNobody(_ token: OperationToken) {
        if token.slot == Slab<CallbackSlot>.end { return deliverRefused() }
        core.statistics.staleCompletions &+= 1
    }

    private func deliverRefused() {
        guard let next = refused.popFirst() else { return }
        call(next.callback, .failure(next.error), kind: next.error.operation)
    }

    @inline(__always)
    private func endWithResult(_ result: Int32, _ token: OperationToken, _ slot: UnsafeMutablePointer<CallbackSlot>) {
        let kind = unsafe slot.pointee.kind
        unsafe slot.pointee.pending = 0
        guard unsafe slot.pointee.flags.isEmpty else {
            idle &+= 1
            return unsafe tell(token.slot, slot, .success(Int(result)), kind)
        }
        let callback = unsafe slot.pointee.takeCallback()
        slots.vacate(token.slot)
        call(callback, .success(Int(result)), kind: kind)
    }

    private func completeOnce(_ result: Int32, _ token: OperationToken) {
        let index = token.slot
        if continues(after: result, index) {
            submit(token)
            return
        }
        let isReusable = slots[index].flags.contains(.reusable)
        if isReusable, slots[index].pending > 1 {
            // Whoever is told may start it again, so its cancel has to be over, too.
            return hold(result, index)
        }
        let outcome = outcome(of: result, index)
        let kind = slots[index].kind
        let attachment = slots[index].attachment.take()
        if isReusable {
            end(index)
            return unsafe tell(index, slots.pointer(to: index), outcome, kind, attachment)
        }
        let callback = slots[index].takeCallback()
        end(index)
        call(callback, outcome, kind: kind, attachment: attachment)
    }

    private func completeMultishot(_ completion: Completion, _ token: OperationToken) {
        let index = token.slot
        let kind = slots[index].kind
        // The last completion may bring something too: first what it brings, then whether it was the last.
        let isBeat = kind == .timeout && completion.result == -ETIME
        let brings = completion.result >= 0 || isBeat
        // A beat that a cancel came too late for is nobody's loss; a connection or a readiness would be.
        if brings, !isBeat || !slots[index].flags.isEnding && !core.isDraining {
            callInPlace(index, .success(isBeat ? 0 : Int(completion.result)))
        }
        guard !completion.hasMore else { return cancelAgain(token) }
        // A cancellation that nobody asked for (the kernel has its own reasons) is as little an end as an interruption.
        let isHarmless = [-EINTR, -ECANCELED].contains(completion.result)
            || kind == .accept && isOfOneConnection(completion.result)
        if brings || isHarmless, !slots[index].flags.isEnding, !core.isDraining {
            core.statistics.multishotRestarts &+= 1
            submit(token)
        } else {
            completeOnce(completion.result < 0 && !isBeat ? completion.result : -ECANCELED, token)
        }
    }

    /// Whether an accept failed because of the connection it was to bring, which is gone, and not of its listener: "errors
    /// already pending on the new socket", accept(2).
    private func isOfOneConnection(_ result: Int32) -> Bool {
        switch -result {
        case ECONNABORTED, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH: true
        default: false
        }
    }

    /// Calls a callback that stays. Out of its slot while it runs: it may cancel itself, or start others.
    private func callInPlace(_ index: UInt32, _ outcome: Result<Int, IOError>) {
        let kind = slots[index].kind
        if slots[index].flags.contains(.reusable) {
            return unsafe tell(index, slots.pointer(to: index), outcome, kind)
        }
        let callback = slots[index].takeCallback()
        call(callback, outcome, kind: kind)
        slots[index].callback = callback
    }

    /// The cancel request of a slot has completed: found, not found or too late, the operation says itself how it ended.
    func completeCancel(_ token: OperationToken, result: Int32) {
        let index = token.slot
        core.statistics.completedByKind[.cancel] &+= 1
        guard slots.isCurrent(index, generation: token.generation), slots[index].pending > 0 else {
            core.statistics.staleCompletions &+= 1
            return
        }
        slots[index].pending -= 1
        if slots[index].pending == 0 { return release(index) }
        if slots[index].flags.contains(.held) { return releaseHeld(token) }
        if result < 0 { lookAgain(token) }
    }

    /// The operation's own last completion has come.
    private func end(_ index: UInt32) {
        slots[index].bytes = Bytes()
        slots[index].attachment = nil
        slots[index].progress = 0
        slots[index].flags.insert(.ended)
        if slots[index].flags.contains(.timed) {
            slots[index].flags.remove(.timed)
            core.noteStaleTimer()
        }
        slots[index].pending -= 1
        if slots[index].pending == 0 { release(index) }
    }

    private func release(_ index: UInt32) {
        guard slots[index].flags.contains(.reusable) else { return slots.vacate(index) }
        idle += 1
        if slots[index].flags.contains(.discarded) { drop(index) }
    }

    /// Keeps a result until the cancel, which came too late or was what brought it, has completed.
    private func hold(_ result: Int32, _ index: UInt32) {
        slots[index].flags.formUnion([.held, .ended])
        slots[index].heldResult = result
    }

    private func releaseHeld(_ token: OperationToken) {
        slots[token.slot].flags.subtract([.held, .ended])
        let callback = OperationToken(.callback, slot: token.slot, generation: token.generation)
        completeOnce(slots[token.slot].heldResult, callback)
    }

    // MARK: - Cancelling

    /// Asks for the end of an operation. Its callback will still be called, once, with how it ended. False if it has
    /// ended already, or was cancelled before.
    func cancel(_ token: OperationToken, because reason: CallbackSlot.Flags = .cancelled) -> Bool {
        guard token.kind == .callback, slots.isCurrent(token.slot, generation: token.generation) else { return false }
        let index = token.slot
        guard slots[index].pending > 0, slots[index].flags.isDisjoint(with: [.cancelled, .ended]) else { return false }
        slots[index].flags.formUnion(reason.union(.cancelled))
        if slots[index].flags.contains(.timer) {
            core.deliver(token, result: -ECANCELED)
            return true
        }
        sendCancel(token)
        return true
    }

    /// A multishot goes on that was told to end: the cancel came while the kernel had it off its list, between firing and
    /// arming it again, and found nothing. Now it is armed.
    private func cancelAgain(_ token: OperationToken) {
        let index = token.slot
        guard slots[index].flags.isEnding || core.isDraining, slots[index].pending == 1 else { return }
        sendCancel(token)
    }

    private func sendCancel(_ token: OperationToken) {
        slots[token.slot].pending += 1
        let cancel = OperationToken(.cancel, slot: token.slot, generation: token.generation)
        unsafe core.start(.cancel, cancel) { unsafe io_uring_prep_cancel64($0, token.rawValue, 0) }
    }

    /// Marks all operations on a descriptor as cancelled: the kernel is asked to end them. One of which it has done a part
    /// completes with that, and must not go on with the rest.
    func noteCancelled(on descriptor: Int32) {
        guard descriptor >= 0 else { return }
        for index in slots.indices where slots[index].pending > 0 && slots[index].descriptor == descriptor {
            guard slots[index].kind.mayBeCancelled, slots[index].flags.isDisjoint(with: [.ended, .swept]) else { continue }
            slots[index].flags.insert(.swept)
            lookAgain(OperationToken(.callback, slot: index, generation: slots[index].generation))
        }
    }

    /// Sees to it that an operation which was told to end, and has not in a while, is told again. A cancel finds nothing
    /// (ENOENT) while the kernel hands the operation on: what cannot be tried without waiting, such as a pipe before Linux
    /// 6.5, goes to a worker thread by way of a list that no cancel looks at, and would wait there for good. Nor does it
    /// always end what a worker has begun (EALREADY).
    private func lookAgain(_ token: OperationToken) {
        guard !slots[token.slot].flags.contains(.ended) else { return }
        slots[token.slot].flags.insert(.timed)
        let callback = OperationToken(.callback, slot: token.slot, generation: token.generation)
        core.timers.add(callback, at: core.now &+ CallbackRegistry.cancelInterval)
    }

    /// Nanoseconds between two cancels of one operation.
    static let cancelInterval: UInt64 = 5_000_000

    /// A deadline named this slot.
    func timeIsUp(_ token: OperationToken) {
        guard isTimed(token) else { return }
        let index = token.slot
        slots[index].flags.remove(.timed)
        if slots[index].flags.contains(.timer) {
            fire(token)
        } else if slots[index].flags.isEnding {
            slots[index].flags.insert(.cancelled)
            sendCancel(OperationToken(.callback, slot: index, generation: token.generation))
        } else {
            _ = cancel(token, because: .timedOut)
        }
    }

    /// Whether the slot waits for an entry of the timer queue.
    func isTimed(_ token: OperationToken) -> Bool {
        slots.isCurrent(token.slot, generation: token.generation) && slots[token.slot].flags.contains(.timed)
    }

    /// Ends what only the reactor knows of; the kernel's own are cancelled by the loop.
    func cancelTimers() {
        for index in slots.indices where slots[index].pending > 0 && slots[index].flags.contains(.timer) {
            _ = cancel(OperationToken(.callback, slot: index, generation: slots[index].generation))
        }
    }

    /// Marks all that is in flight as cancelled: the loop has asked the kernel to end everything.
    func noteEverythingCancelled() {
        for index in slots.indices where slots[index].pending > 0 { slots[index].flags.insert(.cancelled) }
    }

    // MARK: - Timers of our own

    /// `after` and, where the kernel has no multishot timeout, `every`.
    func startTimer(after delay: Duration, period: Duration?, _ job: @escaping () throws -> Void) -> OperationToken {
        guard let index = slots.take() else {
            core.report(.jobThrew(IOError(.timer, .noBufferSpace)))
            return .none
        }
        slots[index].callback = .job(job)
        slots[index].kind = .timer
        slots[index].descriptor = -1
        slots[index].flags = [.timer, .timed]
        slots[index].pending = 1
        let deadline = core.deadline(after: delay)
        slots[index].arguments = __kernel_timespec(
            tv_sec: Int64(bitPattern: deadline), tv_nsec: Int64(bitPattern: period?.nanoseconds ?? 0))
        let token = OperationToken(.callback, slot: index, generation: slots[index].generation)
        core.statistics.startedByKind[.timer] &+= 1
        if core.isDraining {
            slots[index].flags.insert(.cancelled)
            core.deliver(token, result: -ECANCELED)
        } else {
            core.timers.add(token, at: deadline)
        }
        return token
    }

    private func fire(_ token: OperationToken) {
        let index = token.slot
        guard !slots[index].flags.contains(.cancelled) else { return }
        core.statistics.completedByKind[.timer] &+= 1
        let period = UInt64(bitPattern: slots[index].arguments.tv_nsec)
        guard period > 0 else {
            let callback = slots[index].takeCallback()
            end(index)
            call(callback, .success(0), kind: .timer)
            return
        }
        // On the beat: a late turn skips beats, it does not shift them.
        let due = UInt64(bitPattern: slots[index].arguments.tv_sec)
        let next = due &+ ((core.now &- due) / period &+ 1) &* period
        slots[index].arguments.tv_sec = Int64(bitPattern: next)
        slots[index].flags.insert(.timed)
        core.timers.add(token, at: next)
        callInPlace(index, .success(0))
    }
}

extension OperationKind {
    /// Whether its result is all that its callback gets, and nothing but the callback is kept for it.
    var endsWithItsResult: Bool {
        switch self {
        case .nop, .accept, .shutdown, .close, .poll, .fsync, .cancel: true
        default: false
        }
    }

    /// Whether a cancel of all operations on its descriptor is meant for it.
    var mayBeCancelled: Bool { self != .close && self != .cancel }

    /// Whether the operation can wait for something outside, so that the end of a reactor must not start it. A write to a
    /// full pipe can.
    var mayWait: Bool {
        switch self {
        case .close, .shutdown, .cancel, .nop, .fsync: false
        default: true
        }
    }
}
