/// Goes through a plan. What fails is kept and does not stop the rest.
struct Execution {
    let plan: Plan
    let measurer: Measurer
    var progress: Progress

    mutating func run() -> [CaseResult] {
        defer { progress.finish() }
        return plan.cases.map { run($0) }
    }

    private mutating func run(_ one: Case) -> CaseResult {
        var result = CaseResult(testCase: one, servers: plan.peers(in: one).map { ServerResult(server: $0.name) })
        for round in 0..<plan.rounds {
            for peer in plan.order(in: one, round: round) {
                let measured = attempt(one, peer, "round \(round + 1)") { try $0.measure(one.workload, peer) }
                result.add(measured, server: peer.name, pass: "round \(round + 1)") { $0.rounds.append($1) }
            }
        }
        if one.group.isCounted {
            for peer in plan.order(in: one, round: plan.rounds) {
                let measured = attempt(one, peer, "counting") { try $0.count(one.workload, peer) }
                result.add(measured, server: peer.name, pass: "counting") { $0.counting = $1 }
            }
        }
        return result
    }

    private mutating func attempt(
        _ one: Case, _ peer: Peer, _ pass: String, _ body: (Measurer) throws -> Measurement
    ) -> Result<Measurement, any Error> {
        progress.begin("\(one.name), \(pass): \(peer.name)")
        let result = Result { try body(measurer) }
        switch result {
        case .success(let measurement): progress.end(measurement.summary)
        case .failure(let error): progress.fail("\(one.name), \(pass), \(peer.name): \(error)")
        }
        return result
    }
}

extension Measurement {
    /// What the progress line says of it.
    fileprivate var summary: String {
        if let bytesPerConnection { return "\(Format.figure(bytesPerConnection)) B a connection" }
        guard let cpu = self[.cpu], let rate = self[.throughput] else { return "done" }
        return "\(Format.figure(cpu)) ns, \(Format.count(rate))/s"
    }
}
