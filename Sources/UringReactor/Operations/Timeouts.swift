import CLiburing

extension Reactor {
    /// Calls `job` once, `delay` from now at the earliest. Kept by the reactor: costs the kernel nothing.
    ///
    /// Not called at all if cancelled before, or if the reactor stops; nor if there are
    /// ``ReactorConfiguration/maximumOperations`` already, which is reported (``ReactorReport/jobThrew(_:)``). An error
    /// it throws is counted and reported.
    ///
    /// - Parameter delay: counted from this call; zero or less is at once, but never before this call returns.
    @discardableResult
    public func after(_ delay: Duration, _ job: @escaping () throws -> Void) -> OperationToken {
        assertOwner()
        return registry.startTimer(after: delay, period: nil, job)
    }

    /// Calls `job` again and again, the first time `period` from now, until cancelled or the reactor stops.
    ///
    /// A multishot timeout where the kernel has it (Linux 6.4; see ``Capabilities/multishotTimeout``) and the period is at
    /// least 100 µs, the reactor's own time otherwise. The kernel counts each beat from when the loop took the one before,
    /// so what the loop is late by adds up; the reactor's own time keeps to the beat, and a late loop skips some. For work
    /// that must keep to the clock, look at ``now``.
    ///
    /// - Parameter period: at least a nanosecond.
    @discardableResult
    public func every(_ period: Duration, _ job: @escaping () throws -> Void) -> OperationToken {
        assertOwner()
        let nanoseconds = period.nanoseconds
        precondition(nanoseconds > 0, "a period of \(period)")
        // Shorter ones could fire again faster than the kernel hands them over, which then has no time for anything else.
        guard capabilities.multishotTimeout, nanoseconds >= 100_000 else {
            return registry.startTimer(after: period, period: period, job)
        }
        return registry.start(.timeout, on: -1, timeout: nil, .job(job)) {
            $0.arguments = __kernel_timespec(nanoseconds: nanoseconds)
            $0.flags.insert(.multishot)
        }
    }

    /// A timeout in the kernel: calls back when `delay` has passed, or with `ECANCELED`. What ``after(_:_:)`` does
    /// without a submission, in a form that completes like any operation.
    @discardableResult
    public func timeout(
        after delay: Duration, _ callback: consuming @escaping (Result<Void, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.timeout, on: -1, timeout: nil, .status(consume callback)) {
            $0.arguments = __kernel_timespec(nanoseconds: delay.nanoseconds)
        }
    }
}

extension __kernel_timespec {
    init(nanoseconds: UInt64) {
        self.init(tv_sec: Int64(nanoseconds / 1_000_000_000), tv_nsec: Int64(nanoseconds % 1_000_000_000))
    }
}
