import CLiburing
import SystemPackage

extension ConnectionTable {
    /// Starts a receive if the connection wants one and none is in flight.
    func receive(_ index: UInt32) {
        let slot = unsafe slots.pointer(to: index)
        let flags = unsafe slot.pointee.flags
        let state = unsafe slot.pointee.state
        guard !flags.contains(.receiving), !flags.contains(.peerEnded),
            state.delivers && !flags.contains(.paused) || state.discards, !core.isDraining
        else { return }
        let buffer = bufferForReceive(index)
        unsafe slot.pointee.flags.insert(.receiving)
        unsafe slot.pointee.inFlight += 1
        let descriptor = unsafe slot.pointee.descriptor
        unsafe core.start(.receive, token(.receive, index)) {
            unsafe io_uring_prep_recv($0, descriptor, buffer.target, buffer.room, 0)
        }
    }

    /// A buffer with enough room: the last one, as long as a quarter of it is left, so that small messages share one.
    private func bufferForReceive(_ index: UInt32) -> ReceiveBuffer {
        let size = slots[index].bufferSize
        // Nobody kept a slice, as a rule: then the receive begins at the start of a warm buffer. Decided here and nowhere
        // else: once a receive is prepared, where it goes must not change.
        ReceiveBuffers.resetIfUnused(&slots[index].receiveBuffer)
        if let buffer = slots[index].receiveBuffer {
            if buffer.room >= core.buffers.capacity(of: size) / 4, buffer.capacity >= core.buffers.capacity(of: size) {
                return buffer
            }
            slots[index].receiveBuffer = nil
            core.buffers.give(buffer)
        }
        let buffer = core.buffers.take(size)
        slots[index].receiveBuffer = buffer
        return buffer
    }

    func receiveCompleted(_ index: UInt32, _ result: Int32) {
        slots[index].flags.remove(.receiving)
        slots[index].inFlight -= 1
        guard slots[index].state != .closing else { return joinIfAlone(index) }
        if result > 0 {
            received(index, Int(result))
        } else if result == 0 {
            slots[index].flags.insert(.peerEnded)
            peerEnded(index)
        } else if result == -EINTR {
            core.statistics.retries &+= 1
        } else {
            let descriptor = FileDescriptor(rawValue: slots[index].descriptor)
            end(index, CloseReason(IOError(.receive, Errno(rawValue: -result), descriptor: descriptor)))
        }
        receive(index)
    }

    private func received(_ index: UInt32, _ count: Int) {
        core.statistics.bytesReceived &+= UInt64(count)
        slots[index].lastActivity = core.now
        guard let buffer = slots[index].receiveBuffer else { return }
        adapt(index, to: count, of: buffer.room)
        guard slots[index].state.delivers else { return }
        let bytes = buffer.slice(count)
        if slots[index].flags.contains(.paused) {
            // Paused while the receive was in flight.
            slots[index].held = bytes
        } else {
            deliver(.received(bytes), to: index)
        }
    }

    /// Larger buffers for those that fill theirs, smaller ones for those that have not for a while.
    private func adapt(_ index: UInt32, to count: Int, of room: Int) {
        let size = slots[index].bufferSize
        if count == room {
            slots[index].smallReceives = 0
            slots[index].bufferSize = size.larger
        } else if size != .small, count < core.buffers.capacity(of: size.smaller) / 2 {
            slots[index].smallReceives += 1
            guard slots[index].smallReceives == 16 else { return }
            slots[index].smallReceives = 0
            slots[index].bufferSize = size.smaller
        } else {
            slots[index].smallReceives = 0
        }
    }

    private func peerEnded(_ index: UInt32) {
        switch slots[index].state {
        case .open:
            guard !slots[index].flags.contains(.paused) else {
                slots[index].flags.insert(.holdsEnd)
                return
            }
            slots[index].state.move(.peerEnded)
            deliver(.ended, to: index)
        case .sendingEnded:
            if slots[index].flags.contains(.paused) {
                slots[index].flags.insert(.holdsEnd)
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

    // MARK: - Pausing

    func pauseReading(_ connection: Connection) {
        guard let index = index(of: connection), slots[index].state.isLive else { return }
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

    /// What came while the handler did not want it.
    func deliverHeld(_ index: UInt32) {
        guard !slots[index].flags.contains(.paused) else { return }
        if !slots[index].held.isEmpty {
            var bytes = Bytes()
            swap(&bytes, &slots[index].held)
            deliver(.received(bytes), to: index)
        }
        guard slots[index].flags.contains(.holdsEnd), !slots[index].flags.contains(.paused) else { return }
        slots[index].flags.remove(.holdsEnd)
        if slots[index].state.isLive { peerEnded(index) }
    }
}
