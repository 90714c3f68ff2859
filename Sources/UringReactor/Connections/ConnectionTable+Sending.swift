import CLiburing
import Glibc
import Histogram
import SystemPackage

/// How a connection sends: one send in flight, which never waits in the kernel; the rest in its queue. When the peer's
/// window is full a poll waits for room, so nothing of the queue is in the kernel's hands meanwhile, and all of it can be
/// dropped or copied.
extension ConnectionTable {
    /// Queues bytes. They go out with the others of this turn, or when the send in flight has completed.
    @inline(__always)
    func send(
        _ bytes: Bytes, callback: SendQueue.SendCallback?, stays: Bool = false, on connection: Connection
    ) -> SendOutcome {
        guard let index = index(of: connection), slots[index].state.maySend,
            !slots[index].flags.contains(.shutdownRequested)
        else {
            if let callback {
                let error = IOError(.send, .brokenPipe, target: "\(connection)")
                later { try callback.body(.failure(error)) }
            }
            return .refused
        }
        if bytes.isEmpty, callback == nil { return .queued }
        if !hasPlace(for: bytes.count, index), let refusal = makePlace(for: bytes.count, index) {
            if let callback {
                let error = IOError(.send, .noBufferSpace, target: "\(connection)")
                later { try callback.body(.failure(error)) }
            }
            return refusal
        }
        slots[index].queue.append(bytes, callback: callback, stays: stays)
        return queued(index)
    }

    /// Queues a message of several pieces, all or none of them.
    func send(_ pieces: [Bytes], on connection: Connection) -> SendOutcome {
        guard let index = index(of: connection), slots[index].state.maySend,
            !slots[index].flags.contains(.shutdownRequested)
        else { return .refused }
        guard let last = pieces.lastIndex(where: { !$0.isEmpty }) else { return .queued }
        let count = pieces.reduce(0) { $0 + $1.count }
        if !hasPlace(for: count, index), let refusal = makePlace(for: count, index) { return refusal }
        for (place, piece) in pieces[...last].enumerated() where !piece.isEmpty {
            slots[index].queue.append(piece, isMore: place < last)
        }
        return queued(index)
    }

    @inline(__always)
    func queued(_ index: UInt32) -> SendOutcome {
        if slots[index].flags.isDisjoint(with: [.sending, .stalled, .dirty]) {
            slots[index].flags.insert(.dirty)
            dirty.append(index)
            if core.isEnough(dirty.count) {
                flush()
                core.submit()
            }
        }
        guard slots[index].queue.pendingBytes > slots[index].limits.highWatermark else { return .queued }
        slots[index].flags.insert(.backlogged)
        return .backlogged
    }

    // MARK: - Sending

    /// Starts a send for each connection that was given something to send; not more than a turn may do.
    func flush(atMost most: Int = .max) {
        var started = 0
        while started < most, let index = dirty.popFirst() {
            slots[index].flags.remove(.dirty)
            startSend(index)
            started += 1
        }
    }

    /// Sends what is queued, all of it in one operation if it has no more pieces than a vector takes.
    private func startSend(_ index: UInt32) {
        let slot = unsafe slots.pointer(to: index)
        guard unsafe slot.pointee.state.sends, unsafe slot.pointee.flags.isDisjoint(with: [.sending, .stalled]),
            unsafe !slot.pointee.queue.isEmpty
        else { return }
        unsafe slot.pointee.flags.insert(.sending)
        unsafe slot.pointee.inFlight += 1
        let token = token(.send, index)
        guard unsafe slot.pointee.queue.pendingBytes > 0 else {
            // Only empty pieces, which have callbacks.
            unsafe slot.pointee.offered = 0
            unsafe slot.pointee.offeredPieces = UInt16(clamping: slot.pointee.queue.count)
            return core.deliver(token, result: 0)
        }
        noteWrite(index)
        let descriptor = unsafe slot.pointee.descriptor
        let done = unsafe slot.pointee.queue.sentOfFirst
        let length = min(unsafe slot.pointee.queue.first.bytes.count - done, ConnectionTable.mostPerSend)
        if mayZeroCopy(index, length) {
            unsafe slot.pointee.offered = length
            unsafe slot.pointee.offeredPieces = 1
            return sendWithoutCopy(index, unsafe slot.pointee.queue.first.bytes, done, length)
        }
        let threshold = unsafe slot.pointee.limits.zeroCopyThreshold
        if unsafe slot.pointee.queue.count == 1 || length >= threshold {
            unsafe slot.pointee.offered = length
            unsafe slot.pointee.offeredPieces = 1
            let start = unsafe slot.pointee.queue.first.bytes.start + done
            unsafe core.start(.send, token) {
                unsafe io_uring_prep_send($0, descriptor, start, length, ConnectionTable.sendFlags)
            }
        } else {
            let vector = takeVector(for: unsafe slot.pointee.queue.count)
            unsafe slot.pointee.queue.fill(vector, piecesBelow: threshold)
            unsafe slot.pointee.attachment = vector
            unsafe slot.pointee.offered = vector.offered
            unsafe slot.pointee.offeredPieces = UInt16(vector.count)
            unsafe core.start(.send, token) {
                unsafe io_uring_prep_sendmsg(
                    $0, descriptor, vector.header, UInt32(bitPattern: ConnectionTable.sendFlags))
            }
        }
    }

    /// `MSG_DONTWAIT`: as much as there is room for now. With a send that waits in the kernel, nobody could tell whether the
    /// peer takes anything, and all it was offered would have to stay.
    static let sendFlags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)

    /// The length of a submission has 32 bits, its result 31, and the kernel cuts at 2 GiB less a page.
    private static let mostPerSend = 1 << 30

    private func noteWrite(_ index: UInt32) {
        let last = slots[index].lastWrite
        slots[index].lastWrite = core.now
        guard last != 0 else { return }
        let longest = core.statistics.timeBetweenWrites.highestTrackableValue
        core.statistics.timeBetweenWrites.record(min(core.now &- last, longest))
    }

    @inline(__always)
    func sendCompleted(_ index: UInt32, _ result: Int32) {
        slots[index].inFlight -= 1
        if slots[index].attachment != nil, let vector = slots[index].attachment as? VectorBlock {
            slots[index].attachment = nil
            giveVector(vector)
        }
        var isFull = false
        if result >= 0 {
            isFull = Int(result) < slots[index].offered
            sent(index, Int(result))
        } else if result == -EAGAIN {
            isFull = true
        } else if result == -EINTR {
            core.statistics.retries &+= 1
        } else if slots[index].state != .closing {
            sendFailed(index, Errno(rawValue: -result))
        }
        slots[index].offeredPieces = 0
        // First, so that what the handler adds goes out with the rest.
        if slots[index].state != .closing { tellDrained(index) }
        // Not before: what callbacks and the handler add must not start a send of its own, and what they drop must be none
        // of what was sent.
        slots[index].flags.remove(.sending)
        guard slots[index].state != .closing else { return joinIfAlone(index) }
        sendOn(index, isFull: isFull)
    }

    /// Goes on after a send, or when there is room again.
    func sendOn(_ index: UInt32, isFull: Bool) {
        guard slots[index].state.sends else { return }
        if slots[index].queue.isEmpty {
            isFlushed(index)
        } else if isFull {
            stall(index)
        } else {
            startSend(index)
        }
    }

    private func sent(_ index: UInt32, _ count: Int) {
        core.statistics.bytesSent &+= UInt64(count)
        if count < slots[index].offered { core.statistics.shortSends &+= 1 }
        guard count > 0 || slots[index].offered == 0 else { return }
        slots[index].lastActivity = core.now
        slots[index].writeDeadline = 0
        slots[index].retries = 0
        slots[index].queue.advance(by: count)
        // No more than there are now: what a callback adds, if only an empty piece, is for a later turn.
        for _ in 0..<slots[index].queue.count {
            guard let piece = slots[index].queue.popSent() else { return }
            if slots[index].offeredPieces > 0 { slots[index].offeredPieces -= 1 }
            if let callback = piece.callback { call(index, callback, .success(piece.bytes.count)) }
        }
    }

    func sendFailed(_ index: UInt32, _ errno: Errno) {
        let error = IOError(.send, errno, descriptor: FileDescriptor(rawValue: slots[index].descriptor))
        let reason = CloseReason(error)
        // The peer is gone, but what it said last may still be there to be read.
        let isGone = [.brokenPipe, .reset, .timedOut].contains(reason)
        guard isGone, slots[index].state == .open else { return end(index, reason) }
        let readsOnDemand = slots[index].driver?.use { $0.readsOnDemand } == true
        guard !slots[index].flags.isDisjoint(with: [.receiving, .starved, .paused]) || readsOnDemand else {
            return end(index, reason)
        }
        slots[index].reason = reason
        slots[index].state.move(.sendingEnded)
        stopWaitingForRoom(index)
        failQueue(index, error)
        if slots[index].flags.contains(.backlogged) {
            // Nothing waits any more. Who has paused until then would otherwise never go on, and never hear of the end.
            slots[index].flags.remove(.backlogged)
            deliver(.drained, to: index)
        }
        // The callbacks had their chance to ask for it. Where nobody does, nobody would ever hear of the end.
        if readsOnDemand, slots[index].driver?.use({ $0.isWaiting }) != true { end(index, reason) }
    }

    /// The queue is empty and nothing is in flight.
    func isFlushed(_ index: UInt32) {
        stopWaitingForRoom(index)
        if slots[index].state == .flushing {
            finishSending(index)
        } else if slots[index].flags.contains(.shutdownRequested) {
            tellPeerOfEnd(index)
            if slots[index].state == .peerEnded {
                end(index, .bothEnded, by: .sendingEnded)
            } else {
                slots[index].state.move(.sendingEnded)
            }
        }
    }

    func tellDrained(_ index: UInt32) {
        guard slots[index].flags.contains(.backlogged), slots[index].state.maySend,
            slots[index].queue.pendingBytes <= slots[index].limits.lowWatermark
        else { return }
        slots[index].flags.remove(.backlogged)
        deliver(.drained, to: index)
    }

    // MARK: - Callbacks of sends

    /// What is queued will not be sent.
    func failQueue(_ index: UInt32, _ error: IOError) {
        while let piece = slots[index].queue.popUnsent() {
            if let callback = piece.callback { call(index, callback, .failure(error)) }
        }
    }

    private func call(_ index: UInt32, _ callback: SendQueue.SendCallback, _ result: Result<Int, IOError>) {
        do {
            try callback.body(result)
        } catch {
            failed(index, with: error)
            end(index, .handlerFailed)
        }
    }

    // MARK: - Vectors

    private static let vectorPieces = 64

    private func takeVector(for count: Int) -> VectorBlock {
        guard count > ConnectionTable.vectorPieces else {
            return freeVectors.popLast() ?? VectorBlock(capacity: ConnectionTable.vectorPieces)
        }
        return freeLargeVectors.popLast() ?? VectorBlock(capacity: VectorBlock.mostPieces)
    }

    private func giveVector(_ vector: VectorBlock) {
        if vector.capacity == ConnectionTable.vectorPieces {
            if freeVectors.count < 256 { freeVectors.append(vector) }
        } else if freeLargeVectors.count < 32 {
            freeLargeVectors.append(vector)
        }
    }
}
