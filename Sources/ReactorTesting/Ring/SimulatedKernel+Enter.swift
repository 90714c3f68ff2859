import Glibc
import SystemPackage
public import UringReactor

/// io_uring_enter(2), for a ring with `DEFER_TASKRUN`: completions are posted only inside of it (trap 23).
extension SimulatedKernel {
    public func enter(_ request: EnterRequest) -> Int32 {
        clockMayStand()
        onLook?()
        record(.enter(request))
        guard countEnter() else { return -EBADF }
        checkMemory()
        lookAtBufferRings()
        let start = time
        isEntered = true
        let result = entered(request)
        pumpPeers()
        isEntered = false
        // Otherwise a loop that always finds something to do would never see what is late.
        if time == start { time += configuration.turnTime }
        showDeferredWork()
        record(.returned(result))
        return result
    }

    /// False if the loop turns without end.
    private func countEnter() -> Bool {
        enters += 1
        entersWithoutProgress += 1
        if enters > enterLimit {
            violation("more than \(enterLimit) enters: the loop turns without end, or enterLimit is too low")
        } else if entersWithoutProgress > spinLimit {
            violation("more than \(spinLimit) enters, and nothing was done between them: the loop should wait")
        } else {
            return true
        }
        return false
    }

    /// Whether what completes gets anybody any further.
    func noteProgress(_ opcode: Opcode, _ result: Int32) {
        let isInVain = opcode == .pollAdd || opcode == .asyncCancel || result == -EAGAIN || result == -ENOBUFS
        if !isInVain { entersWithoutProgress = 0 }
    }

    private func entered(_ request: EnterRequest) -> Int32 {
        switch ringState {
        case .none, .closed:
            violation("enter() on a ring that is not open")
            return -EBADF
        case .disabled: return -EBADFD
        case .enabled(let thread):
            // SINGLE_ISSUER: the thread that enabled the ring, and no other.
            guard pthread_equal(thread, pthread_self()) != 0 else { return -EEXIST }
        }
        if let errno = enterFailure(request) { return -errno.rawValue }

        let consumed = consume(atMost: request.submit)
        pumpPeers()
        // Linux neither waits nor reaps if it did not consume all it was asked to: io_uring/io_uring.c, io_uring_enter.
        guard consumed == request.submit else { return Int32(consumed) }
        guard request.waitFor > 0 || request.reap else { return Int32(consumed) }
        let waited = wait(for: request.waitFor, timeout: request.timeout)
        return consumed > 0 ? Int32(consumed) : waited
    }

    /// An error that comes before anything is consumed.
    private func enterFailure(_ request: EnterRequest) -> Errno? {
        if let errno = oneShots.takeFailure(of: .enter, unless: { $0 == .interrupted }) {
            record(.fault("enter fails"))
            return errno
        }
        if request.submit > 0, draw(faults.submitAgain, "enter fails with EAGAIN") { return .resourceTemporarilyUnavailable }
        let reaps = request.waitFor > 0 || request.reap
        if reaps, request.submit == 0, ring?.backlog.isEmpty == false, draw(faults.busy, "enter fails with EBUSY") {
            return .resourceBusy
        }
        return nil
    }

    // MARK: - Submission

    private func consume(atMost wanted: UInt32) -> UInt32 {
        guard let ring else { return 0 }
        var count = min(wanted, ring.submissionsReady)
        if let limit = oneShots.takeSubmitLimit() {
            count = min(count, limit)
        } else if count > 1, draw(faults.partialSubmit, "partial submit") {
            count = UInt32(random.next(in: 1...Int(count - 1)))
        }
        for _ in 0..<count { start(ring.take()) }
        return count
    }

    // MARK: - Deferred work and waiting

    /// Does all that is due, and posts what comes of it.
    private func reap() {
        ring?.flushBacklog()
        repeat {
            noticeWakeUps()
            while let event = events.popDue(at: time) { happen(event) }
            noticeAcknowledgements()
            while !deferredWork.isEmpty {
                let work = deferredWork
                deferredWork = []
                for item in work { perform(item) }
            }
            pumpPeers()
        } while !deferredWork.isEmpty || hasAcknowledgements || events.nextDue().map { $0 <= time } ?? false
    }

    private func noticeWakeUps() {
        guard let waker, let file = file(waker.descriptor.rawValue) as? EventFile else { return }
        // Several wake-ups before the library looks are one edge for a poll, as on Linux.
        if waker.take() > 0 { file.signal() }
    }

    private func perform(_ work: DeferredWork) {
        switch work {
        case .attempt(let operation):
            // It may have been cancelled after it was woken.
            if operation.stage == .woken { attempt(operation) }
        case .finish(let operation, let result):
            operation.isCancelled = false
            if operation.stage == .finished { settle(operation, result: result) }
        case .notify(let operation): notify(operation)
        }
    }

    private func happen(_ event: Event) {
        entersWithoutProgress = 0
        switch event.action {
        case .timer(let operation, _): timerFired(operation, at: event.due)
        case .post(let operation, let result): post(operation, result: result)
        case .attempt(let operation): attempt(operation)
        case .notify(let operation): notify(operation)
        case .connectTimeout(let operation): connectTimedOut(operation)
        case .breakConnection(let endpoint, let way):
            record(.fault("connection breaks"))
            endpoint.breakConnection(way)
        case .script(let body): body()
        }
    }

    /// `IORING_SQ_TASKRUN`: something is to be done that only an enter that reaps does.
    func showDeferredWork() {
        guard !isEntered else { return }
        let isDue = !deferredWork.isEmpty || events.nextDue().map { $0 <= time } ?? false || hasAcknowledgements
        ring?.setFlag(SimulatedRing.deferredWorkFlag, isDue)
    }

    private func wait(for wanted: UInt32, timeout: UInt64?) -> Int32 {
        guard let ring else { return 0 }
        let wanted = unsafe min(wanted, ring.memory.completionEntries)
        let deadline = timeout.map { time.addingReportingOverflow($0) }.map { $0.overflow ? .max : $0.partialValue }
        while true {
            reap()
            onLook?()
            if ring.completionsReady >= wanted { return 0 }
            // Whoever waits for several and got some is told of no error: the end of io_cqring_wait.
            let hasSome = ring.completionsReady > 0
            if isInterrupted {
                isInterrupted = false
                return hasSome ? 0 : -EINTR
            }
            if oneShots.takeFailure(of: .enter, unless: { $0 != .interrupted }) != nil
                || draw(faults.interruptedWait, "wait interrupted") {
                return hasSome ? 0 : -EINTR
            }
            if let due = events.nextDue(), due <= deadline ?? .max {
                time = max(time, due)
                continue
            }
            if let deadline {
                time = max(time, deadline)
                reap()
                return ring.completionsReady > 0 ? 0 : -ETIME
            }
            if configuration.blocksWhenIdle, let waker {
                waker.block()
                continue
            }
            switch onStall?(self) ?? .fail {
            case .lookAgain: continue
            case .interrupt: return hasSome ? 0 : -EINTR
            case .fail:
                violation("stalled: an enter waits for \(wanted) completions, and nothing can ever happen")
                return hasSome ? 0 : -EINTR
            }
        }
    }
}
