import Glibc

/// io_uring/poll.c.
extension SimulatedKernel {
    func preparePoll(_ submission: Submission) -> Int32? {
        // IORING_POLL_ADD_MULTI alone: a level-triggered multishot (`IORING_POLL_ADD_LEVEL`) is not modelled.
        guard submission.bufferIndex == 0, submission.offset == 0, submission.address == 0 else { return EINVAL }
        return submission.length & ~1 == 0 ? nil : EINVAL
    }

    /// A multishot is edge-triggered: one completion for each time it was woken, however often in between, none for a state
    /// that stays.
    func poll(_ operation: Operation, isFirst: Bool) -> Outcome {
        guard isFirst, let file = operation.file else { return .blocked }
        let ready = file.readiness.intersection(operation.interest)
        guard !ready.isEmpty else { return .blocked }
        let result = Int32(ready.rawValue)
        return operation.isMultishot ? .more(result, again: true) : .done(result)
    }

    func removePoll(_ submission: Submission) -> Int32 {
        let targets = operations.values.filter {
            $0.opcode == .pollAdd && $0.userData == submission.address && ($0.stage == .waiting || $0.stage == .woken)
        }
        let target = targets.min { $0.id < $1.id }
        guard let target else { return -ENOENT }
        return cancelOne(target)
    }
}
