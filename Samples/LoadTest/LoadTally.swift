import UringReactor

/// What happened to the connections of a load test.
struct LoadTally {
    enum Role: String {
        case publisher, subscriber, connection

        fileprivate var possession: String { self == .connection ? "a connection" : "the connection of a \(rawValue)" }
    }

    /// Subscribers that joined and left while the publishers published.
    var joined: UInt64 = 0
    var left: UInt64 = 0
    /// What slow subscribers got and did not get, and how many of them the server has ended.
    var slowReceived: UInt64 = 0
    var slowMissed: UInt64 = 0
    var slowEnded: UInt64 = 0
    var wasInterrupted = false
    /// Of each subscriber that was there all the time.
    private(set) var deliveries: [UInt64] = []
    private(set) var meanLatencies: [Double] = []
    /// What went wrong, and how often, in the order of the first time.
    private(set) var failures: [(what: String, times: Int)] = []

    mutating func add(deliveries: UInt64, latencies: UInt64) {
        self.deliveries.append(deliveries)
        if deliveries > 0 { meanLatencies.append(Double(latencies) / Double(deliveries)) }
    }

    /// A line for each cause.
    var summary: [String] { failures.map { $0.times == 1 ? $0.what : "\($0.what) (\($0.times) times)" } }

    mutating func note(_ failure: String) {
        if let index = failures.firstIndex(where: { $0.what == failure }) {
            failures[index].times += 1
        } else {
            failures.append((failure, 1))
        }
    }

    /// A connection has ended that should not have.
    mutating func note(
        _ role: Role, ended reason: CloseReason, sawEnd: Bool, answered: Bool, lastWords: String? = nil
    ) {
        if let lastWords {
            note("a \(role.rawValue) was told: \(lastWords)")
        } else if case .connectFailed(let error) = reason {
            note("a \(role.rawValue) could not connect: \(error)")
        } else if sawEnd {
            note("the server ended \(role.possession)\(answered ? "" : " before it answered")")
        } else {
            note("\(role.possession) ended: \(reason)")
        }
    }
}
