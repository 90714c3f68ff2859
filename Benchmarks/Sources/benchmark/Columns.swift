/// A column of figures.
struct Column {
    let title: String
    let metric: Metric
    let format: (Double?) -> String
}

extension Case.Group {
    /// By what servers are compared.
    var compared: Metric { self == .idle ? .idleMemory : .cpu }

    var columns: [Column] {
        let rss = Column(title: "RSS MiB", metric: .rss) { Format.figure($0.map { $0 / 1024 }) }
        guard self != .idle else {
            return [Column(title: "B a connection", metric: .idleMemory, format: Format.figure), rss]
        }
        return [
            Column(title: "CPU ns", metric: .cpu, format: Format.figure),
            Column(title: "messages/s", metric: .throughput, format: Format.count),
            Column(title: "p99 µs", metric: .p99) { Format.figure($0.map { $0 / 1000 }) },
            Column(title: "syscalls", metric: .syscalls, format: Format.figure),
            Column(title: "allocations", metric: .allocations, format: Format.figure),
            rss,
        ]
    }
}
