import UringReactor

/// Subscribers that leave, each replaced by a new one.
extension LoadRun {
    /// Has those leave whose time has come, and again when the next one's does. A late turn has several leave.
    func churn() {
        while phase == .publishing {
            let due = Double(departuresDue + 1) * 1e9 / plan.churn
            let wait = Int64(due) - Int64(clamping: elapsed(at: clock()))
            guard wait <= 0 else {
                reactor.after(.nanoseconds(wait)) { [self] in churn() }
                return
            }
            departuresDue += 1
            replaceOne()
        }
    }

    /// The next one in turn that may leave; nobody if all are coming, going, or slow.
    private func replaceOne() {
        for _ in 0..<subscribers.count {
            let place = churnCursor
            churnCursor = (churnCursor + 1) % subscribers.count
            let leaver = subscribers[place]
            guard leaver.isAwaited else { continue }
            let newcomer = LoadSubscriber(of: leaver.publisher, run: run, isSlow: false, isReplacement: true)
            subscribers[place] = newcomer
            noteLeft(leaver)
            dismiss(leaver)
            connect(newcomer)
            return
        }
    }
}
