import Glibc

/// io_uring/cancel.c.
extension SimulatedKernel {
    private enum Flags {
        static let all: UInt32 = 1 << 0
        static let descriptor: UInt32 = 1 << 1
        static let any: UInt32 = 1 << 2
        static let userData: UInt32 = 1 << 4
        static let opcode: UInt32 = 1 << 5
        static let known = all | descriptor | any | userData | opcode
    }

    func prepareCancel(_ submission: Submission) -> Int32? {
        let flags = submission.operationFlags
        guard submission.offset == 0, submission.fileIndex == 0, flags & ~Flags.known == 0 else { return EINVAL }
        guard flags & Flags.any == 0 || flags & (Flags.descriptor | Flags.opcode) == 0 else { return EINVAL }
        return nil
    }

    func cancel(_ submission: Submission) -> Int32 {
        let flags = submission.operationFlags
        var file: OpenFile?
        if flags & Flags.descriptor != 0 {
            // The key is the open file, not the number: an operation on a descriptor closed and reused does not match.
            file = self.file(submission.descriptor)
            guard file != nil else {
                reject(submission, EBADF)
                return -EBADF
            }
        }
        let takesAll = flags & (Flags.all | Flags.any) != 0
        // Found again until its completion has been posted: io_poll_cancel_req only marks it. A timeout is gone at once.
        let targets = operations.values.filter {
            ($0.stage == .waiting || $0.stage == .woken || $0.isCancelled) && matches($0, submission, file)
        }
        guard takesAll else { return targets.min(by: SimulatedKernel.isSooner).map(find) ?? -ENOENT }
        // Whatever was found counts, whether it could be cancelled or not: io_async_cancel.
        return targets.sorted(by: SimulatedKernel.isSooner).reduce(0) { $0 + (find($1) == -ENOENT ? 0 : 1) }
    }

    private func find(_ target: Operation) -> Int32 {
        if target.isCancelled { return 0 }
        // A timeout is taken off its list under a lock.
        if target.opcode != .timeout, draw(faults.missedCancel, "missed cancel") { return -ENOENT }
        return cancelOne(target)
    }

    /// Linux looks among the polls first, then among the timeouts: io_try_cancel.
    private static func isSooner(_ left: Operation, _ right: Operation) -> Bool {
        (left.opcode == .timeout ? 1 : 0, left.id) < (right.opcode == .timeout ? 1 : 0, right.id)
    }

    private func matches(_ target: Operation, _ submission: Submission, _ file: OpenFile?) -> Bool {
        let flags = submission.operationFlags
        if target.lostCancel { return false }
        if flags & Flags.any != 0 { return true }
        // A timeout has no file: io_timeout_cancel is not asked.
        if flags & Flags.descriptor != 0, target.file !== file { return false }
        if flags & Flags.opcode != 0, UInt32(target.opcode.rawValue) != submission.length { return false }
        let byUserData = flags & Flags.userData != 0 || flags & (Flags.descriptor | Flags.opcode) == 0
        return !byUserData || target.userData == submission.address
    }

    /// Cancels an operation that waits. Its completion comes after that of the cancellation, as deferred work.
    func cancelOne(_ target: Operation) -> Int32 {
        // That of a timeout comes too late only while it fires, which is over before anybody else does anything.
        if oneShots.takeLostCancel() || target.opcode != .timeout && draw(faults.lostCancel, "lost cancel") {
            loseCancel(target)
            return -EALREADY
        }
        abandon(target)
        target.stage = .finished
        target.isCancelled = target.opcode != .timeout
        deferredWork.append(.finish(target, failure(of: target, ECANCELED)))
        return 0
    }

    /// The operation is on its way already: it completes soon, done if it can be, and otherwise interrupted.
    private func loseCancel(_ target: Operation) {
        target.lostCancel = true
        let due = time + random.next(in: faults.delay)
        if target.opcode == .timeout {
            // Its timer is firing right now: hrtimer_try_to_cancel says -1.
            target.timer?.generation &+= 1
            events.schedule(.timer(target, generation: target.timer?.generation ?? 0), at: due)
        } else if target.stage == .waiting {
            target.stage = .woken
            events.schedule(.attempt(target), at: due)
        }
    }
}
