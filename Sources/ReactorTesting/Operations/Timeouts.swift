import Glibc

/// io_uring/timeout.c.
extension SimulatedKernel {
    private enum Flags {
        static let absolute: UInt32 = 1 << 0
        static let update: UInt32 = 1 << 1
        static let etimeSuccess: UInt32 = 1 << 5
        static let multishot: UInt32 = 1 << 6
    }

    func prepareTimeout(_ operation: Operation) -> Int32? {
        let submission = operation.submission
        let flags = submission.operationFlags
        guard submission.length == 1, submission.bufferIndex == 0, submission.fileIndex == 0 else { return EINVAL }
        guard flags & ~(Flags.absolute | Flags.etimeSuccess | Flags.multishot) == 0 else { return EINVAL }
        let isMultishot = flags & Flags.multishot != 0
        // Linux 6.4. A multishot has no point in time.
        guard !isMultishot || (capabilities.multishotTimeout && flags & Flags.absolute == 0) else { return EINVAL }
        guard let span = timespec(at: submission.address) else { return EFAULT }
        guard let nanoseconds = span else { return EINVAL }
        var timer = Operation.Timer(interval: nanoseconds, isMultishot: isMultishot)
        if isMultishot { timer.repeats = submission.offset }
        operation.timer = timer
        return nil
    }

    /// The nanoseconds of the timespec there: nil for a null address, nil within for a negative span.
    private func timespec(at address: UInt64) -> UInt64?? {
        guard let seconds = UserMemory.load(address, Int64.self), let rest = UserMemory.load(address + 8, Int64.self) else {
            return nil
        }
        guard seconds >= 0, rest >= 0 else { return .some(nil) }
        let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .some(.max / 2) : .some(whole &+ UInt64(rest))
    }

    func startTimeout(_ operation: Operation) -> Outcome {
        guard let timer = operation.timer else { return .done(-EINVAL) }
        arm(operation, for: timer.interval, isAbsolute: operation.submission.operationFlags & Flags.absolute != 0)
        if !timer.isMultishot, operation.submission.offset > 0 {
            operation.timer?.target = completionCount + operation.submission.offset
            countedTimeouts.append(operation)
        }
        return .armed
    }

    private func arm(_ operation: Operation, for span: UInt64, isAbsolute: Bool) {
        guard let timer = operation.timer else { return }
        let due = isAbsolute ? max(span, time) : time.addingReportingOverflow(span).overflow ? .max : time + span
        events.schedule(.timer(operation, generation: timer.generation), at: due)
    }

    func timerFired(_ operation: Operation, at due: UInt64) {
        guard var timer = operation.timer else { return }
        var goesOn = timer.isMultishot && !operation.lostCancel
        if goesOn, timer.repeats > 0 {
            timer.repeats -= 1
            goesOn = timer.repeats > 0
        }
        operation.timer = timer
        guard goesOn, ring?.hasRoom == true, !draw(faults.multishotEnd, "multishot ends") else {
            abandon(operation)
            settle(operation, result: -ETIME)
            return
        }
        postTick(operation)
        // From when it was noticed, not from when it was due: io_timeout_complete starts the timer anew.
        arm(operation, for: timer.interval, isAbsolute: false)
    }

    /// Timeouts that wait for so many completions end with 0.
    func endCountedTimeouts() {
        guard !countedTimeouts.isEmpty else { return }
        for operation in countedTimeouts where operation.timer?.target.map({ $0 <= completionCount }) ?? false {
            abandon(operation)
            operation.stage = .finished
            deferredWork.append(.finish(operation, 0))
        }
    }

    // MARK: - Removing and updating

    func prepareTimeoutRemove(_ operation: Operation) -> Int32? {
        let submission = operation.submission
        guard submission.length == 0, submission.bufferIndex == 0, submission.fileIndex == 0 else { return EINVAL }
        let flags = submission.operationFlags
        guard flags & Flags.update != 0 else { return flags == 0 ? nil : EINVAL }
        guard flags & ~(Flags.update | Flags.absolute) == 0 else { return EINVAL }
        guard let span = timespec(at: submission.offset) else { return EFAULT }
        guard let span else { return EINVAL }
        operation.timer = Operation.Timer(interval: span)
        return nil
    }

    func removeTimeout(_ remover: Operation) -> Int32 {
        let submission = remover.submission
        let targets = operations.values.filter {
            $0.opcode == .timeout && $0.userData == submission.address && $0.stage == .waiting
        }
        let target = targets.min { $0.id < $1.id }
        guard let target else { return -ENOENT }
        guard submission.operationFlags & Flags.update != 0, let span = remover.timer?.interval else {
            return cancelOne(target)
        }
        target.timer?.generation &+= 1
        target.timer?.interval = span
        arm(target, for: span, isAbsolute: submission.operationFlags & Flags.absolute != 0)
        return 0
    }
}
