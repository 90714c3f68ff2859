import Histogram

/// What a load generator has found, for people and for programs.
struct LoadReport {
    /// What was run: a heading, and the choices made.
    let title: String
    var settings: [(name: String, value: JSONText)] = []
    /// What is counted: `deliveries`, `echoes`.
    let unit: String
    /// Seconds from the first operation to the last.
    var seconds = 0.0
    let latency: LatencyRecorder
    var series = RateSeries()
    /// Of each client: its rate, and its mean latency in nanoseconds.
    var rates: [Double] = []
    var meanLatencies: [Double] = []
    /// Whose rates they are: `subscriber`, `connection`.
    let client: String
    var ourTime: ProcessCounters?
    var serverTime: ProcessCounters?
    var ourSystemCalls: UInt64?
    /// From its start to its end, connecting included.
    var serverSystemCalls: UInt64?
    /// What was counted besides: for the table, and for JSON in the same order.
    var counts: [(name: String, value: UInt64)] = []
    /// Remarks, a line each.
    var notes: [String] = []
    /// Why the exit status is not 0.
    var failures: [String] = []

    /// The percentiles of tables.
    static let percentiles: [(name: String, value: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("max", 100),
    ]

    var rate: Double { seconds > 0 ? Double(latency.count) / seconds : 0 }
    var megabytesPerSecond: Double { seconds > 0 ? Double(latency.bytes) / 1e6 / seconds : 0 }

    private func perOperation(_ count: UInt64?) -> Double? {
        guard let count, latency.count > 0 else { return nil }
        return Double(count) / Double(latency.count)
    }
}

// MARK: - For people

extension LoadReport {
    /// The table at the end, without an end of line at the last.
    var table: String {
        var rows = [(unit, "\(Amount.grouped(latency.count)) in \(Amount.fixed(seconds, 2)) s")]
        rows.append(("rate", "\(Amount.short(rate)) \(unit)/s, \(Amount.short(megabytesPerSecond)) MB/s"))
        if latency.count > 0 {
            let values = LoadReport.percentiles.map { name, value in
                "\(name) \(Amount.time(nanoseconds: latency.percentile(value)))"
            }
            rows.append(("latency", values.joined(separator: "   ")))
        }
        if let spread = Spread(rates) { rows.append(("per \(client)", describe(spread) { Amount.short($0) + "/s" })) }
        if let spread = Spread(meanLatencies) {
            rows.append(("mean latency", describe(spread) { Amount.time(nanoseconds: $0) }))
        }
        if let ourTime { rows.append(("CPU here", describe(ourTime))) }
        if let serverTime { rows.append(("CPU server", describe(serverTime))) }
        let calls = [("here", perOperation(ourSystemCalls)), ("server", perOperation(serverSystemCalls))]
            .compactMap { name, value in value.map { "\(name) \(Amount.fixed($0, 4))" } }
        if !calls.isEmpty { rows.append(("system calls", calls.joined(separator: ", ") + " for each of the \(unit)")) }
        rows.append(("counted", counts.map { "\($0.name) \(Amount.grouped($0.value))" }.joined(separator: ", ")))
        let width = rows.reduce(0) { max($0, $1.0.count) } + 2
        var lines = [title]
        lines += rows.map { "  " + $0.0 + String(repeating: " ", count: width - $0.0.count) + $0.1 }
        lines += notes.map { "  note: \($0)" }
        return lines.joined(separator: "\n")
    }

    private func describe(_ spread: Spread, _ format: (Double) -> String) -> String {
        "min \(format(spread.least))   avg \(format(spread.mean))   max \(format(spread.most))"
            + "   stddev \(format(spread.standardDeviation))"
    }

    private func describe(_ time: ProcessCounters) -> String {
        var text = "\(Amount.fixed(time.user, 2)) s user, \(Amount.fixed(time.system, 2)) s system"
        if latency.count > 0 {
            text += ", \(Amount.time(nanoseconds: time.total * 1e9 / Double(latency.count))) for each of the \(unit)"
        }
        if seconds > 0 { text += " (\(Amount.fixed(time.total / seconds * 100, 0)) % of a core)" }
        return text
    }
}

// MARK: - For programs

extension LoadReport {
    /// All of it, with units in the names.
    var json: JSONText {
        func spread(_ values: [Double]) -> JSONText {
            guard let spread = Spread(values) else { return .null }
            return .object([
                ("min", .number(spread.least)), ("avg", .number(spread.mean)), ("max", .number(spread.most)),
                ("stddev", .number(spread.standardDeviation)), ("count", .integer(UInt64(spread.count))),
            ])
        }
        func time(_ time: ProcessCounters?) -> JSONText {
            time.map { .object([("user_seconds", .number($0.user)), ("system_seconds", .number($0.system))]) } ?? .null
        }
        func calls(_ count: UInt64?) -> JSONText { count.map { .integer($0) } ?? .null }
        return .object([
            ("title", .text(title)),
            ("settings", .object(settings.map { ($0.name, $0.value) })),
            ("unit", .text(unit)),
            ("count", .integer(latency.count)),
            ("seconds", .number(seconds)),
            ("per_second", .number(rate)),
            ("megabytes_per_second", .number(megabytesPerSecond)),
            (
                "latency_ns",
                .object(LoadReport.percentiles.map { ($0.name, .integer(latency.percentile($0.value))) }
                    + [("mean", .number(latency.histogram.mean))])
            ),
            ("rate_per_\(client)", spread(rates)),
            ("mean_latency_ns_per_\(client)", spread(meanLatencies)),
            ("cpu", time(ourTime)),
            ("server_cpu", time(serverTime)),
            ("system_calls", calls(ourSystemCalls)),
            ("server_system_calls_in_all", calls(serverSystemCalls)),
            ("counts", .object(counts.map { ($0.name.split(separator: " ").joined(separator: "_"), .integer($0.value)) })),
            ("rate_over_time", .array(series.points.map { .array([.number($0.time), .number($0.rate)]) })),
            ("notes", .array(notes.map { .text($0) })),
            ("failures", .array(failures.map { .text($0) })),
        ])
    }

    /// The distribution of latencies in microseconds, as HdrHistogram's own tools write and plot it.
    var histogramText: String {
        var text = ""
        latency.histogram.outputPercentileDistribution(to: &text, outputValueUnitScalingRatio: 1_000)
        return text
    }
}
