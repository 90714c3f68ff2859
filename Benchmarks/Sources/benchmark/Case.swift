/// One line of the matrix.
struct Case: Hashable, Codable {
    let name: String
    let group: Group
    let workload: Workload
    /// Whether `--quick` has it too.
    var isQuick = false

    /// The tables, in their order.
    enum Group: String, Codable, CaseIterable {
        case echo
        case fanout
        case rate
        case churn
        case idle

        var title: String {
            switch self {
            case .echo: "Echo"
            case .fanout: "Fan-out"
            case .rate: "Fan-out at a fixed rate"
            case .churn: "Connect and close"
            case .idle: "Idle connections"
            }
        }

        /// What is counted as a message.
        var unit: String {
            switch self {
            case .echo: "A message is one that came back."
            case .fanout, .rate: "A message is one that reached one subscriber."
            case .churn: "A message is a connection: made, a small request, its answer, closed."
            case .idle: "Memory is what the server holds privately, after minus before, for each connection."
            }
        }
    }

    static let all: [Case] = echo + fanout + rate + churn + idle

    private static let echo: [Case] = [1, 64, 512].flatMap { connections in
        [64, 4096].flatMap { size in
            [1, 16].map { depth in
                Case(
                    name: "echo-\(connections)x\(Format.size(size))-d\(depth)", group: .echo,
                    workload: .echo(connections: connections, size: size, depth: depth),
                    isQuick: connections == 64 && size == 64 && depth == 1)
            }
        }
    }

    private static let fanout: [Case] =
        [10, 100, 1000].flatMap { subscribers in
            [128, 8192].flatMap { size in
                [8, 1].map { window in
                    Case(
                        name: "fanout-\(subscribers)x\(Format.size(size))-w\(window)", group: .fanout,
                        workload: .fanout(channels: 1, subscribers: subscribers, size: size, window: window, rate: nil),
                        isQuick: subscribers == 100 && window == 8)
                }
            }
        }
        + [8, 1].map { window in
            Case(
                name: "fanout-20x1MiB-w\(window)", group: .fanout,
                workload: .fanout(channels: 1, subscribers: 20, size: 1 << 20, window: window, rate: nil))
        } + [
            Case(
                name: "fanout-50x10x128B-w8", group: .fanout,
                workload: .fanout(channels: 50, subscribers: 10, size: 128, window: 8, rate: nil)),
        ]

    /// About half of what the C twins can, so that latency is that of the server and not that of a queue.
    private static let rate: [Case] = [
        Case(
            name: "rate-100x128B", group: .rate,
            workload: .fanout(channels: 1, subscribers: 100, size: 128, window: 64, rate: 1000), isQuick: true),
        Case(
            name: "rate-100x8KiB", group: .rate,
            workload: .fanout(channels: 1, subscribers: 100, size: 8192, window: 64, rate: 500)),
    ]

    private static let churn: [Case] = [
        Case(name: "churn-64", group: .churn, workload: .churn(concurrency: 64), isQuick: true)
    ]

    private static let idle: [Case] = [
        Case(name: "idle-echo-10000", group: .idle, workload: .idle(.echo, connections: 10_000)),
        Case(name: "idle-pubsub-10000", group: .idle, workload: .idle(.pubsub, connections: 10_000)),
        Case(name: "idle-echo-1000", group: .idle, workload: .idle(.echo, connections: 1000), isQuick: true),
    ]
}
