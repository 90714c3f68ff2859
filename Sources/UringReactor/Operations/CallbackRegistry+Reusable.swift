import CReactorSupport

/// Operations whose slots are kept: see ``ReusableOperation``.
extension CallbackRegistry {
    /// That of the thread's reactor, if one runs there; see ``ConnectionTable/current``.
    @inline(__always)
    static var current: UncountedReference<CallbackRegistry>? {
        guard let reactor = unsafe creactor_current() else { return nil }
        return unsafe Unmanaged<Reactor>.fromOpaque(reactor)._withUnsafeGuaranteedRef { $0.uncounted.registry }
    }

    /// Takes a slot, and has the handler told on the next turn that it may begin. Nil if there are as many as may be.
    func makeReusable(_ driver: OperationDriver) -> ReusableOperation? {
        guard let index = slots.take() else { return nil }
        slots[index].driver = UncountedReference(retaining: driver)
        slots[index].kind = .timer
        slots[index].flags = .reusable
        slots[index].pending = 1
        core.statistics.startedByKind[.timer] &+= 1
        core.deliver(OperationToken(.callback, slot: index, generation: slots[index].generation), result: 0)
        return ReusableOperation(slot: index, generation: slots[index].generation, reactor: reactorNumber)
    }

    /// Starts an operation of which nothing is in flight.
    @inline(__always)
    func start(
        _ operation: ReusableOperation, _ kind: OperationKind, on descriptor: Int32, _ fill: (inout CallbackSlot) -> Void
    ) {
        guard let slot = unsafe slots.find(operation.slot, generation: operation.generation),
            unsafe slot.pointee.pending == 0, unsafe !slot.pointee.flags.contains(.discarded)
        else { ReusableOperation.cannotStart(isInFlight: isInFlight(operation)) }
        unsafe slot.pointee.kind = kind
        unsafe slot.pointee.descriptor = descriptor
        unsafe slot.pointee.flags = .reusable
        unsafe slot.pointee.pending = 1
        unsafe fill(&slot.pointee)
        idle &-= 1
        _ = unsafe begin(operation.slot, slot, timeout: nil)
    }

    func isInFlight(_ operation: ReusableOperation) -> Bool {
        slots.isCurrent(operation.slot, generation: operation.generation) && slots[operation.slot].pending > 0
    }

    func cancel(_ operation: ReusableOperation) -> Bool {
        cancel(OperationToken(.callback, slot: operation.slot, generation: operation.generation))
    }

    /// Gives an operation up: what is in flight is cancelled, and its end is nobody's business.
    func discard(_ operation: ReusableOperation) {
        let index = operation.slot
        guard slots.isCurrent(index, generation: operation.generation), slots[index].flags.contains(.reusable) else {
            return
        }
        slots[index].flags.insert(.discarded)
        if slots[index].pending > 0 {
            _ = cancel(operation)
        } else {
            drop(index)
        }
    }

    /// Lets go of the handler and the slot, of which nothing is in flight, unless the handler is being told something: then
    /// whoever tells it does.
    func drop(_ index: UInt32) {
        guard telling != index, let driver = slots[index].driver.take() else { return }
        idle -= 1
        slots[index].flags = []
        slots.vacate(index)
        driver.release()
    }

    /// Tells the handler what has come of its operation, which it may start again from within.
    @inline(__always)
    func tell(
        _ index: UInt32, _ slot: UnsafeMutablePointer<CallbackSlot>, _ outcome: Result<Int, IOError>,
        _ kind: OperationKind, _ attachment: consuming AnyObject? = nil
    ) {
        guard unsafe !slot.pointee.flags.contains(.discarded), let driver = unsafe slot.pointee.driver else { return }
        let operation = unsafe ReusableOperation(
            slot: index, generation: slot.pointee.generation, reactor: reactorNumber)
        telling = index
        do {
            if kind.bringsBytes {
                try driver.use { driver throws in
                    try call({ try driver.handle(OperationEvent($0), of: operation) }, outcome, attachment.take())
                }
            } else {
                try driver.use { driver throws in try driver.handle(OperationEvent(outcome, kind), of: operation) }
            }
        } catch {
            core.statistics.errorsThrown &+= 1
            core.report(.callbackThrew(error, operation: kind))
        }
        telling = Slab<CallbackSlot>.end
        if unsafe slot.pointee.flags.contains(.discarded), unsafe slot.pointee.pending == 0 { drop(index) }
    }

    /// Lets go of the handlers: the reactor has ended.
    func releaseHandlers() {
        for index in slots.indices where slots[index].flags.contains(.reusable) && slots[index].pending == 0 { drop(index) }
    }
}

extension OperationKind {
    @inline(__always)
    var bringsBytes: Bool { self == .receive || self == .read }
}
