import CLiburing
import Glibc
import Histogram
import SystemPackage

extension ConnectionTable {
    /// Queues bytes. They go out with the others of this turn, or when the send in flight has completed.
    func send(_ bytes: Bytes, callback: SendQueue.SendCallback?, on connection: Connection) -> SendOutcome {
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
        let (pending, limit) = (slots[index].queue.pendingBytes, slots[index].options.maximumPendingBytes)
        // One piece is always taken if nothing else waits: the limit is on what piles up, not on the size of a message.
        guard pending == 0 || bytes.count <= limit - min(pending, limit) else {
            core.statistics.slowConsumers &+= 1
            if let callback {
                let error = IOError(.send, .noBufferSpace, target: "\(connection)")
                later { try callback.body(.failure(error)) }
            }
            end(index, .slowConsumer)
            return .refused
        }
        slots[index].queue.append(bytes, callback: callback)
        if slots[index].flags.isDisjoint(with: [.sending, .dirty]) {
            slots[index].flags.insert(.dirty)
            dirty.append(index)
            if core.isEnough(dirty.count) {
                flush()
                core.submit()
            }
        }
        guard slots[index].queue.pendingBytes > slots[index].options.highWatermark else { return .queued }
        slots[index].flags.insert(.backlogged)
        return .backlogged
    }

    func send(_ pieces: [Bytes], on connection: Connection) -> SendOutcome {
        var outcome = SendOutcome.queued
        for piece in pieces { outcome = send(piece, callback: nil, on: connection) }
        return outcome
    }

    /// Starts a send for each connection that was given something to send.
    func flush() {
        while let index = dirty.popFirst() {
            slots[index].flags.remove(.dirty)
            startSend(index)
        }
    }

    /// Sends what is queued, all of it in one operation if it has no more pieces than a vector takes.
    private func startSend(_ index: UInt32) {
        guard slots[index].state.sends, !slots[index].flags.contains(.sending), !slots[index].queue.isEmpty else { return }
        slots[index].flags.insert(.sending)
        slots[index].inFlight += 1
        let token = token(.send, index)
        guard slots[index].queue.pendingBytes > 0 else {
            // Only empty pieces, which have callbacks.
            slots[index].offered = 0
            return core.deliver(token, result: 0)
        }
        noteWrite(index)
        let descriptor = slots[index].descriptor
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_WAITALL)
        if slots[index].queue.count == 1 {
            let (bytes, done) = (slots[index].queue.first.bytes, slots[index].queue.sentOfFirst)
            let length = min(bytes.count - done, ConnectionTable.mostPerSend)
            slots[index].offered = length
            unsafe core.start(.send, token) {
                unsafe io_uring_prep_send($0, descriptor, bytes.start + done, length, flags)
            }
        } else {
            let vector = takeVector(for: slots[index].queue.count)
            slots[index].queue.fill(vector)
            slots[index].attachment = vector
            slots[index].offered = vector.offered
            unsafe core.start(.send, token) {
                unsafe io_uring_prep_sendmsg($0, descriptor, vector.header, UInt32(bitPattern: flags))
            }
        }
    }

    /// The length of a submission has 32 bits, its result 31, and the kernel cuts at 2 GiB less a page.
    private static let mostPerSend = 1 << 30

    private func noteWrite(_ index: UInt32) {
        let last = slots[index].lastWrite
        slots[index].lastWrite = core.now
        guard last != 0 else { return }
        let longest = core.statistics.timeBetweenWrites.highestTrackableValue
        core.statistics.timeBetweenWrites.record(min(core.now &- last, longest))
    }

    func sendCompleted(_ index: UInt32, _ result: Int32) {
        slots[index].flags.remove(.sending)
        slots[index].inFlight -= 1
        if let vector = slots[index].attachment as? VectorBlock {
            slots[index].attachment = nil
            giveVector(vector)
        }
        if result >= 0 {
            sent(index, Int(result))
        } else if result == -EINTR {
            core.statistics.retries &+= 1
        } else if slots[index].state != .closing {
            sendFailed(index, Errno(rawValue: -result))
        }
        guard slots[index].state != .closing else { return joinIfAlone(index) }
        // First, so that what the handler adds goes out with the rest.
        tellDrained(index)
        if !slots[index].queue.isEmpty {
            startSend(index)
        } else if slots[index].state.sends {
            isFlushed(index)
        }
    }

    private func sent(_ index: UInt32, _ count: Int) {
        core.statistics.bytesSent &+= UInt64(count)
        if count < slots[index].offered { core.statistics.shortSends &+= 1 }
        slots[index].lastActivity = core.now
        slots[index].queue.advance(by: count)
        // No more than there are now: what a callback adds, if only an empty piece, is for a later turn.
        for _ in 0..<slots[index].queue.count {
            guard let piece = slots[index].queue.popSent() else { return }
            if let callback = piece.callback { call(index, callback, .success(piece.bytes.count)) }
        }
    }

    private func sendFailed(_ index: UInt32, _ errno: Errno) {
        let error = IOError(.send, errno, descriptor: FileDescriptor(rawValue: slots[index].descriptor))
        let reason = CloseReason(error)
        // The peer is gone, but what it said last may still be there to be read.
        guard reason == .brokenPipe || reason == .reset, slots[index].state == .open else { return end(index, reason) }
        let readsOnDemand = slots[index].driver?.use { $0.readsOnDemand } == true
        guard slots[index].flags.contains(.receiving) || readsOnDemand else { return end(index, reason) }
        slots[index].reason = reason
        slots[index].state.move(.sendingEnded)
        failQueue(index, error)
        // The callbacks had their chance to ask for it. Where nobody does, nobody would ever hear of the end.
        if readsOnDemand, slots[index].driver?.use({ $0.isWaiting }) != true { end(index, reason) }
    }

    /// The queue is empty and nothing is in flight.
    func isFlushed(_ index: UInt32) {
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

    private func tellDrained(_ index: UInt32) {
        guard slots[index].flags.contains(.backlogged), slots[index].state.maySend,
            slots[index].queue.pendingBytes <= slots[index].options.lowWatermark
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
