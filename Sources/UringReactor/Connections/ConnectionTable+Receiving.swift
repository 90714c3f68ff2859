import CLiburing
import SystemPackage

extension ConnectionTable {
    /// Starts a receive if the connection wants one and none is in flight.
    func receive(_ index: UInt32) {
        let slot = unsafe slots.pointer(to: index)
        let flags = unsafe slot.pointee.flags
        let state = unsafe slot.pointee.state
        let holdsNothing = unsafe slot.pointee.held.isEmpty
        guard flags.isDisjoint(with: [.receiving, .peerEnded, .starved]),
            state.delivers && !flags.contains(.paused) && holdsNothing || state.discards,
            !core.isDraining
        else { return }
        let form = receiveForm(index)
        if form != .pooled, unsafe slot.pointee.bufferSize == .small, !starved.isEmpty, !isFeeding {
            // Behind those that wait already: whoever has just had a buffer would get the next one, too.
            return starve(index)
        }
        unsafe slot.pointee.flags.insert(.receiving)
        unsafe slot.pointee.inFlight += 1
        unsafe slot.pointee.receiveForm = form
        let descriptor = unsafe slot.pointee.descriptor
        let token = token(.receive, index)
        guard form != .pooled, let ring = ringForReceive(index) else {
            let buffer = bufferForReceive(index)
            return unsafe core.start(.receive, token) {
                unsafe io_uring_prep_recv($0, descriptor, buffer.target, buffer.room, 0)
            }
        }
        unsafe core.start(.receive, token) {
            if form == .multishot {
                unsafe io_uring_prep_recv_multishot($0, descriptor, nil, 0, 0)
            } else {
                unsafe io_uring_prep_recv($0, descriptor, nil, ring.size, 0)
            }
            unsafe $0.pointee.flags |= UInt8(1 << IOSQE_BUFFER_SELECT_BIT)
            unsafe $0.pointee.buf_group = ring.group
        }
    }

    private func receiveForm(_ index: UInt32) -> ReceiveForm {
        guard let rings = core.rings, !slots[index].flags.contains(.usesOwnBuffer) else { return .pooled }
        // Copying large buffers to free them costs more than another one from the pool.
        if slots[index].bufferSize == .large, rings.large.isScarce { return .pooled }
        let mayGoOn = !slots[index].flags.contains(.noMultishot) && slots[index].limits.receiving != .singleShot
        return mayGoOn ? .multishot : .selected
    }

    private func ringForReceive(_ index: UInt32) -> ProvidedBuffers? {
        slots[index].bufferSize == .large ? core.rings?.large : core.rings?.small
    }

    /// A buffer with enough room: the last one, as long as a quarter of it is left, so that small messages share one.
    private func bufferForReceive(_ index: UInt32) -> PooledBuffer {
        let capacity = core.receiveCapacity(slots[index].bufferSize)
        // Nobody kept a slice, as a rule: then the receive begins at the start of a warm buffer. Decided here and nowhere
        // else: once a receive is prepared, where it goes must not change.
        PooledBuffer.resetIfUnused(&slots[index].receiveBuffer)
        if let buffer = slots[index].receiveBuffer {
            // Nor is a large one kept for what fits into a small one.
            if buffer.room >= capacity / 4, buffer.capacity == capacity { return buffer }
            slots[index].receiveBuffer = nil
            core.buffers.checkIn(buffer)
        }
        guard let buffer = core.buffers.checkOut(atLeast: capacity) else {
            preconditionFailure("the pool of receive buffers has no limit")
        }
        slots[index].receiveBuffer = buffer
        return buffer
    }

    @inline(__always)
    func receiveCompleted(_ index: UInt32, _ completion: Completion) {
        // First what it brought, then whether more will come: the last completion of a multishot may carry bytes, too.
        if !completion.hasMore, slots[index].flags.contains(.receiving) {
            slots[index].flags.subtract([.receiving, .cancelsReceive])
            slots[index].inFlight -= 1
        }
        guard slots[index].state != .closing, slots[index].state != .closed else {
            core.rings?.discard(completion)
            return joinIfAlone(index)
        }
        if completion.result > 0 {
            received(index, completion)
        } else {
            core.rings?.discard(completion)
            receivedNothing(index, completion.result)
        }
        if !completion.hasMore { receive(index) }
    }

    private func receivedNothing(_ index: UInt32, _ result: Int32) {
        switch -result {
        case 0:
            slots[index].flags.insert(.peerEnded)
            peerEnded(index)
        case Errno.interrupted.rawValue: core.statistics.retries &+= 1
        case Errno.noBufferSpace.rawValue where slots[index].receiveForm != .pooled:
            core.statistics.receivesWithoutBuffer &+= 1
            starve(index)
        // We asked for it: the connection pauses, or goes on with buffers of another size.
        case Errno.canceled.rawValue: break
        case Errno.invalidArgument.rawValue where slots[index].receiveForm == .multishot:
            slots[index].flags.insert(.noMultishot)
        default:
            let descriptor = FileDescriptor(rawValue: slots[index].descriptor)
            end(index, CloseReason(IOError(.receive, Errno(rawValue: -result), descriptor: descriptor)))
        }
    }

    @inline(__always)
    private func received(_ index: UInt32, _ completion: Completion) {
        let count = Int(completion.result)
        core.statistics.bytesReceived &+= UInt64(count)
        slots[index].lastActivity = core.now
        guard let number = completion.buffer, let rings = core.rings else { return receivedIntoOwnBuffer(index, count) }
        let ring = rings.ring(of: number)
        adapt(index, isFull: count == ring.size, isSmall: count <= ring.size / 8)
        // A receive that is to go on with buffers of the other size, and whose cancel missed.
        if (ring === rings.large) != (slots[index].bufferSize == .large) { cancelReceive(index) }
        // In a function of its own: when it returns, nobody but the handler can hold a slice of the buffer.
        handOver(index, ring, number, count)
        ring.finish(number)
    }

    private func handOver(_ index: UInt32, _ ring: ProvidedBuffers, _ number: UInt16, _ count: Int) {
        let bytes = ring.take(number, count: count)
        guard slots[index].state.delivers else { return }
        if mustHold(index) {
            hold(index, bytes)
        } else if ring.mustCopy {
            deliver(.received(copy(bytes)), to: index)
        } else {
            deliver(.received(bytes), to: index)
        }
    }

    private func receivedIntoOwnBuffer(_ index: UInt32, _ count: Int) {
        slots[index].flags.remove(.usesOwnBuffer)
        guard let buffer = slots[index].receiveBuffer else { return }
        // Where the kernel picks the buffers, this one was an exception; a connection that waits keeps none. Before the
        // handler is called, which may start the next receive.
        let isException = core.rings != nil
        if isException { slots[index].receiveBuffer = nil }
        adapt(index, isFull: count == buffer.room, isSmall: count <= buffer.capacity / 8)
        handOver(index, buffer, count)
        if isException { core.buffers.checkIn(buffer) }
    }

    private func handOver(_ index: UInt32, _ buffer: PooledBuffer, _ count: Int) {
        guard slots[index].state.delivers else { return }
        let bytes = buffer.slice(count)
        if mustHold(index) {
            hold(index, bytes)
        } else {
            deliver(.received(bytes), to: index)
        }
    }

    private func copy(_ bytes: Bytes) -> Bytes {
        noteCopied(bytes.count)
        return bytes.copied()
    }

    func noteCopied(_ count: Int) { core.statistics.bytesCopied &+= UInt64(count) }

    /// Receives in a row that fill a small buffer before larger ones are used, and that leave a large one nearly empty
    /// before it is given up.
    private static let fullBeforeLarge: UInt8 = 4
    private static let smallBeforeSmall: UInt8 = 16

    /// Larger buffers for those that send much at once, for as long as they do.
    @inline(__always)
    private func adapt(_ index: UInt32, isFull: Bool, isSmall: Bool) {
        let isUnfit = slots[index].bufferSize == .small ? isFull : isSmall
        guard isUnfit else {
            slots[index].unfitReceives = 0
            return
        }
        changeSizeIfOften(index)
    }

    private func changeSizeIfOften(_ index: UInt32) {
        slots[index].unfitReceives += 1
        let isLarge = slots[index].bufferSize == .large
        let often = isLarge ? ConnectionTable.smallBeforeSmall : ConnectionTable.fullBeforeLarge
        guard slots[index].unfitReceives >= often else { return }
        slots[index].unfitReceives = 0
        guard slots[index].limits.receiving != .multishot else { return }
        slots[index].bufferSize = isLarge ? .small : .large
        cancelReceive(index)
    }

    /// Has a multishot receive end. What it has brought by then still comes, and so does its end.
    ///
    /// The cancel can miss: Linux may have the receive between two of its lists. Then the receive goes on, and the next
    /// thing it brings leads here again.
    private func cancelReceive(_ index: UInt32) {
        let flags = slots[index].flags
        guard flags.contains(.receiving), !flags.contains(.cancelsReceive), slots[index].receiveForm == .multishot else {
            return
        }
        slots[index].flags.insert(.cancelsReceive)
        cancel(token(.receive, index), of: index)
    }

    /// What became of a cancel. If it missed, the next may hit.
    func cancelCompleted(_ index: UInt32, _ result: Int32) {
        slots[index].inFlight -= 1
        if result < 0 { slots[index].flags.remove(.cancelsReceive) }
        joinIfAlone(index)
    }

    private func peerEnded(_ index: UInt32) {
        switch slots[index].state {
        case .open:
            guard !mustHold(index) else {
                slots[index].flags.insert(.holdsEnd)
                return
            }
            slots[index].state.move(.peerEnded)
            deliver(.ended, to: index)
        case .sendingEnded:
            if mustHold(index) {
                slots[index].flags.insert(.holdsEnd)
            } else if isBroken(index) {
                end(index, .bothEnded, by: .peerEnded)
            } else {
                // Who still receives hears of the end as such, before the connection's own.
                end(index, .bothEnded, by: .peerEnded)
                deliver(.ended, to: index)
            }
        case .flushing: slots[index].state.move(.peerEnded)
        case .lingering: end(index, .closed, by: .peerEnded)
        case .vacant, .connecting, .peerEnded, .closing, .closed: break
        }
    }

    /// A send has found that the connection is no more. The kernel says so once (tcp(7)), and then calls an end what is
    /// none: bytes may be missing.
    private func isBroken(_ index: UInt32) -> Bool {
        slots[index].reason == .reset || slots[index].reason == .timedOut
    }

    // MARK: - Without a buffer

    /// The kernel found no buffer for what has come. The connection waits its turn for one; it asks again when there is one,
    /// not before: what has come would complete it again and again.
    private func starve(_ index: UInt32) {
        if slots[index].bufferSize == .large {
            slots[index].flags.insert(.usesOwnBuffer)
        } else {
            slots[index].flags.insert(.starved)
            starved.append(index)
        }
    }

    /// Receives again for those that wait for a buffer, who waited longest first, and as many as there are buffers.
    func feedStarved() {
        guard !starved.isEmpty, let rings = core.rings else { return }
        isFeeding = true
        defer { isFeeding = false }
        var fed = 0
        while fed < rings.small.available, let index = starved.popFirst() {
            // Another connection may have the slot by now.
            guard slots[index].flags.contains(.starved) else { continue }
            slots[index].flags.remove(.starved)
            receive(index)
            // One that pauses or ends takes no buffer, and nothing will come of it: the next one's turn.
            if slots[index].flags.contains(.receiving) { fed += 1 }
        }
    }

    // MARK: - Pausing

    func pauseReading(_ connection: Connection) {
        guard let index = index(of: connection), slots[index].state.isLive else { return }
        // A multishot receive goes on until something comes: waiting, it costs nothing.
        slots[index].flags.insert(.paused)
    }

    func resumeReading(_ connection: Connection) {
        guard let index = index(of: connection), slots[index].state.isLive else { return }
        guard slots[index].flags.contains(.paused) else { return }
        slots[index].flags.remove(.paused)
        if !slots[index].held.isEmpty || slots[index].flags.contains(.holdsEnd) {
            makeReady(index)
        } else {
            receive(index)
        }
    }

    /// Whether what comes now must wait: for the handler to want it, or behind what waits already.
    @inline(__always)
    private func mustHold(_ index: UInt32) -> Bool {
        slots[index].flags.contains(.paused) || !slots[index].held.isEmpty
    }

    /// Keeps what comes while the handler does not want it. A copy, since a connection that pauses must cost no buffer.
    private func hold(_ index: UInt32, _ bytes: Bytes) {
        slots[index].held.append(copy(bytes))
        if slots[index].flags.contains(.paused) { cancelReceive(index) }
    }

    /// What came while the handler did not want it.
    func deliverHeld(_ index: UInt32) {
        if !slots[index].held.isEmpty {
            var held: [Bytes] = []
            swap(&held, &slots[index].held)
            var next = 0
            while next < held.count, !slots[index].flags.contains(.paused), slots[index].state.delivers {
                next += 1
                deliver(.received(held[next - 1]), to: index)
            }
            if next < held.count, slots[index].state.delivers { slots[index].held = Array(held[next...]) }
        }
        guard slots[index].flags.contains(.holdsEnd), !mustHold(index) else { return }
        slots[index].flags.remove(.holdsEnd)
        if slots[index].state.isLive { peerEnded(index) }
    }
}
