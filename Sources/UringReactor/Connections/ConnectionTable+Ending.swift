import CLiburing
import SystemPackage

/// How connections end. A close is a join: nothing of a connection is released before the last operation on its
/// descriptor has completed, and only then is the descriptor closed.
extension ConnectionTable {
    func close(_ connection: Connection) {
        guard let index = index(of: connection) else { return }
        close(index, .closed)
    }

    func abort(_ connection: Connection, _ reason: CloseReason) {
        guard let index = index(of: connection) else { return }
        end(index, reason)
    }

    func shutdownSending(_ connection: Connection) {
        guard let index = index(of: connection), slots[index].state.maySend else { return }
        slots[index].flags.insert(.shutdownRequested)
        if slots[index].queue.isEmpty, !slots[index].flags.contains(.sending) { isFlushed(index) }
    }

    /// The polite end: what is queued goes out first.
    func close(_ index: UInt32, _ reason: CloseReason) {
        guard slots[index].state.isLive || slots[index].state == .connecting else { return }
        if slots[index].state == .connecting || core.isDraining { return end(index, reason) }
        if slots[index].reason == nil { slots[index].reason = reason }
        slots[index].held = []
        slots[index].state.move(.closeRequested)
        if slots[index].state == .lingering {
            linger(index)
        } else if slots[index].queue.isEmpty, !slots[index].flags.contains(.sending) {
            finishSending(index)
        } else {
            slots[index].deadline = core.deadline(nanoseconds: slots[index].limits.flush)
            schedule(index)
            receive(index)
        }
    }

    /// All that was queued before a close has been sent.
    func finishSending(_ index: UInt32) {
        slots[index].flags.insert(.flushed)
        stopWaitingForRoom(index)
        if slots[index].flags.contains(.peerEnded) {
            end(index, .closed, by: .sendingEnded)
        } else {
            tellPeerOfEnd(index)
            slots[index].state.move(.flushed)
            linger(index)
        }
    }

    private func linger(_ index: UInt32) {
        if slots[index].flags.contains(.peerEnded) { return end(index, .closed) }
        slots[index].deadline = core.deadline(nanoseconds: slots[index].limits.linger)
        schedule(index)
        receive(index)
    }

    /// Sends the peer our FIN. If the connection is gone already, the next receive will say so.
    func tellPeerOfEnd(_ index: UInt32) {
        try? core.kernel.shutdown(FileDescriptor(rawValue: slots[index].descriptor), .sending)
    }

    /// The end, whatever is queued: only the operations in flight are waited for.
    func end(_ index: UInt32, _ reason: CloseReason, by event: LifecycleEvent = .aborted) {
        let before = slots[index].state
        guard before != .vacant, before != .closing, before != .closed else { return }
        // The first reason counts, unless it was to end politely and that has failed: then something queued was not sent. A
        // peer that reads too slowly is one that may well not take our last word either.
        let isWorse = before == .flushing && event == .aborted && slots[index].reason != .slowConsumer
        if slots[index].reason == nil || isWorse { slots[index].reason = reason }
        slots[index].state.move(event)
        slots[index].deadline = 0
        stopWaitingForRoom(index)
        slots[index].held = []
        if slots[index].inFlight > 0 {
            if before == .connecting {
                cancel(token(.connect, index), of: index)
            } else {
                // Ends the receive and the send in flight. ENOTCONN: the connection is gone, and so they end.
                try? core.kernel.shutdown(FileDescriptor(rawValue: slots[index].descriptor), .both)
            }
        }
        // Never right here: the handler must not be told of the end from within a call of its own.
        makeReady(index)
    }

    /// Asks for the end of an operation of the connection.
    func cancel(_ operation: OperationToken, of index: UInt32) {
        slots[index].inFlight += 1
        unsafe core.start(.cancel, token(.cancelOperation, index)) {
            unsafe io_uring_prep_cancel64($0, operation.rawValue, 0)
        }
    }

    /// The join.
    func joinIfAlone(_ index: UInt32) {
        guard slots[index].state == .closing, slots[index].inFlight == 0, !slots[index].flags.contains(.ready) else {
            return
        }
        let reason = slots[index].reason ?? .closed
        slots[index].state.move(.joined)
        failQueue(index, IOError(.send, reason.errnoForQueued, target: "\(handle(index))"))
        deliver(.closed(reason), to: index)
        if let driver = slots[index].driver {
            slots[index].driver = nil
            driver.release()
        }
        if let buffer = slots[index].receiveBuffer {
            slots[index].receiveBuffer = nil
            core.buffers.checkIn(buffer)
        }
        slots[index].attachment = nil
        let descriptor = slots[index].descriptor
        slots[index].inFlight = 1
        dropUnsentZeroCopies(index)
        guard descriptor >= 0 else { return core.deliver(token(.close, index), result: 0) }
        unsafe core.start(.close, token(.close, index)) { unsafe io_uring_prep_close($0, descriptor) }
    }

    func closeCompleted(_ index: UInt32) {
        let group = slots[index].group
        slots[index].state.move(.descriptorClosed)
        slots[index].inFlight = 0
        slots[index].descriptor = -1
        slots[index].group = nil
        slots[index].queue = SendQueue()
        slots[index].limits = .none
        slots[index].flags = []
        let wasTimed = slots[index].timerAt != 0
        slots[index].timerAt = 0
        slots.vacate(index)
        if wasTimed { core.noteStaleTimer() }
        guard let group else { return }
        group.count -= 1
        group.connectionClosed()
    }

    /// Ends all connections, or those of one group.
    func closeAll(_ reason: CloseReason, of group: ConnectionGroup? = nil) {
        for index in slots.indices where slots[index].state != .vacant {
            if group == nil || slots[index].group === group { end(index, reason) }
        }
    }

    /// Asks all connections of a group to end politely.
    func requestClose(of group: ConnectionGroup, _ reason: CloseReason) {
        for index in slots.indices where slots[index].group === group && slots[index].state != .vacant {
            close(index, reason)
        }
    }
}

extension CloseReason {
    /// What the callbacks of sends are told that were still queued.
    fileprivate var errnoForQueued: Errno {
        switch self {
        case .reset: .connectionReset
        case .brokenPipe, .bothEnded: .brokenPipe
        case .idle, .deadline, .closeTimedOut, .writeTimedOut, .timedOut: .timedOut
        case .connectionAborted: .connectionAbort
        case .unreachable(let errno): errno
        case .slowConsumer: .noBufferSpace
        case .connectFailed(let error), .failed(let error): error.errno
        case .closed, .aborted, .handlerFailed, .reactorStopped: .canceled
        }
    }
}
