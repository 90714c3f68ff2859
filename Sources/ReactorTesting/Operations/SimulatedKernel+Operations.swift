import Glibc

/// From a submission to its last completion.
extension SimulatedKernel {
    /// What came of trying an operation.
    enum Outcome {
        /// It is over.
        case done(Int32)
        /// A multishot has a result; whether there may be another at once.
        case more(Int32, again: Bool)
        /// It waits for its file to change.
        case blocked
        /// It waits for its timer.
        case armed
    }

    func start(_ submission: Submission) {
        record(.submitted(
            submission.opcode, userData: submission.userData, descriptor: submission.descriptor,
            length: Int(submission.length)))
        if submission.isPoison || submission.isZero {
            violation("an entry of the submission queue was submitted but never filled")
        } else if submission.userData == 0 {
            violation("a submission without user_data: \(submission)")
        }
        let usesFile = SimulatedKernel.usesFile(submission.opcode)
        let file = usesFile ? file(submission.descriptor) : nil
        let operation = Operation(id: nextOperation, submission: submission, file: file)
        nextOperation += 1
        operations[operation.id] = operation
        file?.retain()

        // As on Linux, what is wrong with the submission itself comes before a bad descriptor.
        if let errno = prepare(operation) {
            // Nothing was begun with its memory.
            operation.segments = []
            reject(submission, errno)
            settle(operation, result: -errno)
            return
        }
        if usesFile, file == nil {
            operation.segments = []
            reject(submission, EBADF)
            settle(operation, result: -EBADF)
            return
        }
        checkOverlaps(of: operation)
        if submission.flags & EntryFlags.async != 0 || SimulatedKernel.isAlwaysDeferred(submission.opcode) {
            operation.stage = .woken
            hold(operation)
            deferredWork.append(.attempt(operation))
        } else {
            attempt(operation)
        }
    }

    /// What Linux refuses, although it looks at nothing but the submission: a mistake of whoever filled it.
    func reject(_ submission: Submission, _ errno: Int32) {
        // One that was never filled has been reported as such.
        guard configuration.rejectsLoudly, !submission.isPoison, [EBADF, EFAULT, EINVAL, EOPNOTSUPP].contains(errno) else {
            return
        }
        violation("refused with \(SimulatedKernel.describe(-errno)): \(submission)")
    }

    private static func usesFile(_ opcode: Opcode) -> Bool {
        switch opcode {
        case .fsync, .pollAdd, .sendmsg, .accept, .connect, .read, .write, .send, .recv, .shutdown, .sendZeroCopy,
            .sendmsgZeroCopy: true
        default: false
        }
    }

    /// Operations that Linux hands to a worker thread whatever happens: `REQ_F_FORCE_ASYNC` (trap 34).
    private static func isAlwaysDeferred(_ opcode: Opcode) -> Bool {
        switch opcode {
        case .shutdown, .fsync, .statx, .openat: true
        default: false
        }
    }

    /// Checks the submission and copies what Linux copies at submission (trap 8).
    private func prepare(_ operation: Operation) -> Int32? {
        let submission = operation.submission
        guard submission.flags & ~EntryFlags.known == 0, submission.personality == 0 else { return EINVAL }
        // io_init_req. Linux selects for reads too, and since 6.10 for sends.
        guard submission.flags & EntryFlags.bufferSelect == 0 || submission.opcode == .recv else { return EOPNOTSUPP }
        switch submission.opcode {
        case .nop: return nil
        case .timeout: return prepareTimeout(operation)
        case .timeoutRemove: return prepareTimeoutRemove(operation)
        case .asyncCancel: return prepareCancel(submission)
        case .pollAdd: return preparePoll(submission)
        case .pollRemove: return submission.length == 0 && submission.offset == 0 ? nil : EINVAL
        case .accept: return prepareAccept(operation)
        case .connect: return prepareConnect(operation)
        case .recv, .send: return prepareTransfer(operation)
        case .sendmsg: return prepareSendmsg(operation)
        case .sendZeroCopy, .sendmsgZeroCopy: return prepareZeroCopySend(operation)
        case .shutdown: return prepareShutdown(submission)
        case .close: return prepareClose(submission)
        case .read, .write, .fsync, .openat, .statx: return prepareFile(operation)
        default: return EINVAL
        }
    }

    private func step(_ operation: Operation, isFirst: Bool) -> Outcome {
        switch operation.opcode {
        case .nop: .done(0)
        case .timeout: startTimeout(operation)
        case .timeoutRemove: .done(removeTimeout(operation))
        case .asyncCancel: .done(cancel(operation.submission))
        case .pollAdd: poll(operation, isFirst: isFirst)
        case .pollRemove: .done(removePoll(operation.submission))
        case .accept: accept(operation)
        case .connect: connect(operation)
        case .recv: receive(operation)
        case .send, .sendmsg: send(operation)
        case .sendZeroCopy, .sendmsgZeroCopy: sendZeroCopy(operation)
        case .shutdown: .done(-shutdown(operation.file, Int32(operation.submission.length)))
        case .close: .done(close(operation.submission))
        case .read: operation.file is Socket ? receive(operation) : readFile(operation)
        case .write: operation.file is Socket ? send(operation) : writeFile(operation)
        case .fsync: .done(operation.file is RegularFile ? 0 : -EINVAL)
        case .openat: openFile(operation)
        case .statx: status(operation)
        default: .done(-EINVAL)
        }
    }

    /// Tries, until it blocks or is over.
    func attempt(_ operation: Operation) {
        operation.stage = .running
        var isFirst = true
        var rounds = 0
        while true {
            if let errno = oneShots.takeResult(of: operation.opcode) {
                record(.fault("\(operation.opcode) fails"))
                abandon(operation)
                settle(operation, result: failure(of: operation, errno.rawValue))
                return
            }
            if let errno = disturbance(of: operation) {
                settle(operation, result: failure(of: operation, errno))
                return
            }
            switch step(operation, isFirst: isFirst) {
            case .done(let result):
                settle(operation, result: result)
                return
            case .more(let result, let again):
                // What no longer fits ends the multishot, its result in the last completion: trap 9. Nor may it overtake
                // a receive that is held back.
                guard ring?.hasRoom == true, operation.file?.heldReceives.count == 0 || operation.direction != .receive,
                    !draw(faults.multishotEnd, "multishot ends")
                else {
                    settle(operation, result: result)
                    return
                }
                postMore(operation, result: result)
                rounds += 1
                if !again || (operation.opcode == .recv && rounds > SimulatedKernel.mostRounds) {
                    waitForMore(operation)
                    return
                }
            case .blocked:
                block(operation)
                return
            case .armed:
                operation.stage = .waiting
                return
            }
            isFirst = false
        }
    }

    /// An errno with which an operation ends that has done nothing wrong, nor anything else.
    private func disturbance(of operation: Operation) -> Int32? {
        switch operation.opcode {
        case .accept, .recv, .send, .sendmsg, .sendZeroCopy, .sendmsgZeroCopy: break
        case .read, .write: guard operation.file is Socket else { return nil }
        default: return nil
        }
        if draw(faults.interruptedOperation, "operation interrupted") { return EINTR }
        return operation.isMultishot && draw(faults.emptyMultishotEnd, "multishot ends with nothing") ? ECANCELED : nil
    }

    /// `MULTISHOT_MAX_RETRY` in io_uring/net.c, Linux 6.8: so often a multishot receive looks again, and then lets others
    /// go first (trap 14).
    private static let mostRounds = 32

    /// A multishot waits for the next result. The poll that Linux arms for it finds what is there already.
    private func waitForMore(_ operation: Operation) {
        guard !operation.lostCancel, let file = operation.file, !file.readiness.isDisjoint(with: operation.interest) else {
            block(operation)
            return
        }
        operation.stage = .woken
        deferredWork.append(.attempt(operation))
    }

    private func block(_ operation: Operation) {
        if operation.lostCancel {
            abandon(operation)
            // A worker thread that is interrupted says EINTR, one that was not started yet ECANCELED.
            let errno = random.next(in: 0...3) == 0 ? EINTR : ECANCELED
            settle(operation, result: failure(of: operation, errno))
            return
        }
        // Whoever waits for something to receive holds no buffer.
        if operation.bufferGroup != nil, operation.buffer == nil { operation.segments = [] }
        operation.stage = .waiting
        hold(operation)
        operation.file?.addWaiter(operation)
    }

    /// Its file has changed.
    func wake(_ operation: Operation) {
        guard operation.stage == .waiting else { return }
        operation.stage = .woken
        if draw(faults.lateReadiness, "late readiness") {
            events.schedule(.attempt(operation), at: time + random.next(in: faults.delay))
        } else {
            deferredWork.append(.attempt(operation))
        }
    }

    /// The result of an operation that fails: what it had done before counts (`io_sendrecv_fail`, Linux 6.0).
    func failure(of operation: Operation, _ errno: Int32) -> Int32 {
        operation.transferred > 0 ? Int32(operation.transferred) : -errno
    }

    // MARK: - The end

    /// The operation has its result, to be posted now or, by a fault, later.
    func settle(_ operation: Operation, result: Int32) {
        operation.stage = .finished
        operation.file?.removeWaiter(operation)
        var late = draw(faults.lateCompletion, "late completion") ? random.next(in: faults.delay) : 0
        // Who fills a provided buffer posts the completion right after, from the same task work. Were it long under way, a
        // library that knows the buffer to be free would rightly ask for it again and again.
        if operation.buffer != nil { late = min(late, SimulatedKernel.latestWithBuffer) }
        var due = time + late
        guard let file = operation.file, operation.direction != .none else {
            guard late > 0 else { return post(operation, result: result) }
            hold(operation)
            events.schedule(.post(operation, result: result), at: due)
            return
        }
        var held = operation.direction == .receive ? file.heldReceives : file.heldSends
        guard late > 0 || held.count > 0 else {
            post(operation, result: result)
            return
        }
        due = max(due, held.last)
        held.count += 1
        held.last = due
        if operation.direction == .receive { file.heldReceives = held } else { file.heldSends = held }
        hold(operation)
        events.schedule(.post(operation, result: result), at: due)
        operation.isHeld = true
    }

    private static let latestWithBuffer: UInt64 = 20_000

    /// Posts the last completion; the operation is in flight no more.
    func post(_ operation: Operation, result: Int32) {
        guard operation.stage != .posted else { return }
        if operation.isHeld, let file = operation.file {
            if operation.direction == .receive { file.heldReceives.count -= 1 } else { file.heldSends.count -= 1 }
        }
        if operation.submission.flags & EntryFlags.skipSuccess == 0 || result < 0 {
            complete(operation, result: result, flags: operation.completionFlags | notificationFlag(of: operation, result))
        }
        if operation.notification != nil { awaitAcknowledgement(of: operation) } else { forget(operation) }
    }

    private func postMore(_ operation: Operation, result: Int32) {
        complete(operation, result: result, flags: CompletionFlags.more | operation.completionFlags)
        // Those of the next result start from nothing.
        operation.transferred = 0
        operation.completionFlags = 0
    }

    func postTick(_ operation: Operation) {
        postMore(operation, result: -ETIME)
    }

    func complete(_ operation: Operation, result: Int32, flags: UInt32) {
        guard let ring else { return }
        noteProgress(operation.opcode, result)
        if operation.notification == nil || flags & CompletionFlags.notification != 0 { letGoOfMemory(of: operation) }
        let flags = flags | giveBackBuffer(of: operation)
        record(.completed(
            operation.opcode, userData: operation.userData, result: result, flags: flags, overflowed: !ring.hasRoom))
        ring.post(SimulatedRing.Completion(userData: operation.userData, result: result, flags: flags))
        if operation.opcode != .timeout {
            completionCount += 1
            endCountedTimeouts()
        }
    }

    /// Takes the operation off the books.
    func forget(_ operation: Operation) {
        operation.stage = .posted
        operation.connector = nil
        letGoOfMemory(of: operation)
        operations[operation.id] = nil
        letGoOfFile(operation)
    }

    func letGoOfFile(_ operation: Operation) {
        operation.file?.removeWaiter(operation)
        if operation.holdsFile { operation.file?.drop() }
        operation.holdsFile = false
    }

    /// The operation will not go on: nobody else may finish it either.
    func abandon(_ operation: Operation) {
        operation.file?.removeWaiter(operation)
        operation.timer?.generation &+= 1
        operation.connector?.giveUp()
        countedTimeouts.removeAll { $0 === operation }
    }
}
