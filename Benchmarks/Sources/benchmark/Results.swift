/// What one case has shown.
struct CaseResult: Codable {
    let testCase: Case
    var servers: [ServerResult]

    /// What has failed, as a sentence each.
    var failures: [String] {
        servers.flatMap { server in server.failures.map { "\(testCase.name), \(server.server), \($0)" } }
    }

    func server(_ name: String) -> ServerResult? { servers.first { $0.server == name } }

    /// Keeps a measurement where `keep` puts it, or why there is none.
    mutating func add(
        _ result: Result<Measurement, any Error>, server: String, pass: String,
        _ keep: (inout ServerResult, Measurement?) -> Void
    ) {
        guard let index = servers.firstIndex(where: { $0.server == server }) else { return }
        switch result {
        case .success(let measurement): keep(&servers[index], measurement)
        case .failure(let error):
            // A round that has failed keeps its place: ratios are of the same round.
            keep(&servers[index], nil)
            servers[index].failures.append("\(pass): \(error)")
        }
    }

    /// One server's figures divided by another's.
    func ratio(_ metric: Metric, _ dividend: String, by divisor: String) -> Ratio? {
        guard let dividend = server(dividend), let divisor = server(divisor) else { return nil }
        return Ratio(dividend.values(metric), divisor.values(metric))
    }
}

/// What one server has shown in one case.
struct ServerResult: Codable {
    let server: String
    /// One for each round; nil where it failed.
    var rounds: [Measurement?] = []
    var counting: Measurement?
    var failures: [String] = []

    /// The figure of each round, or the one that was counted.
    func values(_ metric: Metric) -> [Double?] {
        metric.isCounted ? [counting?[metric]] : rounds.map { $0?[metric] }
    }

    func median(_ metric: Metric) -> Double? { middle(of: values(metric).compactMap(\.self)) }
}
