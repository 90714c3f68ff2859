/// What is told of a run.
extension LoadRun {
    /// How far it is.
    var progress: String {
        switch phase {
        case .connecting: return "connecting: \(connectionsAnswered) of \(plan.connections)"
        case .publishing, .draining, .over:
            let now = Double(recorder.count) / max(1e-3, Double(elapsed(at: clock())) / 1e9)
            let rate = series.counts.last.map { Double($0) * 1e9 / Double(series.interval) } ?? now
            let latency = Amount.time(nanoseconds: recorder.percentile(99))
            let word = phase == .publishing ? "" : "draining, "
            return "\(word)\(Amount.grouped(recorder.count)) deliveries, \(Amount.short(rate))/s, p99 \(latency)"
        }
    }

    /// Adds to a report what this run knows, when it is over.
    func fill(_ report: inout LoadReport) {
        report.settings = plan.settings
        report.seconds = seconds
        report.series = series
        report.rates = tally.deliveries.map { seconds > 0 ? Double($0) / seconds : 0 }
        report.meanLatencies = tally.meanLatencies
        report.counts = [
            ("published", publishers.reduce(0) { $0 + $1.sent }), ("lost", found.lost), ("doubled", found.doubled),
            ("reordered", found.reordered), ("corrupt", found.corrupt),
        ]
        if plan.churn > 0 { report.counts += [("joined", tally.joined), ("left", tally.left)] }
        if plan.slow > 0 {
            report.counts += [
                ("received by slow", tally.slowReceived), ("missed by slow", tally.slowMissed),
                ("slow disconnected", tally.slowEnded),
            ]
            report.notes.append("slow subscribers are not in the deliveries, nor in the latency")
        }
        if tally.wasInterrupted { report.notes.append("interrupted: this is what was measured until then") }
        for (count, what) in [
            (found.lost, "lost"), (found.doubled, "doubled"), (found.reordered, "reordered"), (found.corrupt, "corrupt"),
        ] where count > 0 {
            report.failures.append("\(Amount.grouped(count)) \(count == 1 ? "delivery was" : "deliveries were") \(what)")
        }
        report.failures += tally.summary
    }
}

extension LoadPlan {
    /// In a few words.
    var summary: String {
        let pace = rate > 0 ? "\(Amount.short(rate)) messages/s each" : "window \(window)"
        return "\(publishers) × \(subscribers) subscribers, \(size) B, \(pace), \(style.rawValue)"
    }

    /// All choices that change what is measured.
    var settings: [(name: String, value: JSONText)] {
        func optional(_ number: Double?) -> JSONText { number.map { .number($0) } ?? .null }
        return [
            ("publishers", .integer(UInt64(publishers))), ("subscribers", .integer(UInt64(subscribers))),
            ("size", .text("\(size)")), ("seed", .integer(seed)), ("rate", .number(rate)),
            ("window", .integer(UInt64(window))), ("duration_seconds", optional(duration)),
            ("messages", messages.map { .integer($0) } ?? .null), ("ramp_up_seconds", .number(rampUp)),
            ("style", .text(style.rawValue)), ("churn", .number(churn)), ("slow", .number(slow)),
            ("slow_pause_seconds", .number(slowPause)),
        ]
    }
}
