/// What became of a target.
struct TargetOutcome: Codable {
    let text: String
    let limit: Double
    /// What decides: the highest of all cases, or the middle one; nil if none was measured.
    let figure: Double?
    /// The case that has it.
    let decidingCase: String?
    let verdict: Verdict
    /// How many cases were measured, and the names of those above the limit.
    let caseCount: Int
    let above: [String]

    enum Verdict: String, Codable {
        case met
        /// Above the limit, but at least one round was not.
        case tie
        case missed
        case notMeasured = "not measured"
    }

    init(_ target: Target, _ results: [CaseResult], _ dispatch: Dispatch? = nil) {
        if case .dispatch(let name) = target.measure {
            self.init(target, ratio: dispatch?.task(name)?.ratio)
        } else {
            self.init(target, cases: results)
        }
    }

    private init(_ target: Target, ratio: Ratio?) {
        text = target.text
        limit = target.limit
        figure = ratio?.median
        decidingCase = ratio == nil ? nil : "no-op"
        caseCount = ratio == nil ? 0 : 1
        above = []
        verdict = ratio.map { $0.median <= target.limit ? .met : $0.lowest > target.limit ? .missed : .tie } ?? .notMeasured
    }

    private init(_ target: Target, cases results: [CaseResult]) {
        let measured = results.filter { one in target.cases.contains { Selection.matches(one.testCase.name, $0) } }
            .compactMap { one in TargetOutcome.figure(of: target, in: one).map { (name: one.testCase.name, figure: $0) } }
            .sorted { $0.figure.median < $1.figure.median }
        text = target.text
        limit = target.limit
        caseCount = measured.count
        above = measured.filter { $0.figure.median > target.limit }.map(\.name)
        guard let highest = measured.last else {
            (figure, decidingCase, verdict) = (nil, nil, .notMeasured)
            return
        }
        switch target.across {
        case .every:
            (figure, decidingCase) = (highest.figure.median, highest.name)
            // A case is missed only if each of its rounds is.
            let missed = measured.contains { $0.figure.lowest > target.limit }
            verdict = above.isEmpty ? .met : missed ? .missed : .tie
        case .median:
            let value = middle(of: measured.map(\.figure.median))
            (figure, decidingCase) = (value, nil)
            verdict = value.map { $0 <= target.limit } == true ? .met : .missed
        }
    }

    private static func figure(of target: Target, in one: CaseResult) -> Ratio? {
        switch target.measure {
        case .ratio(let metric, let others):
            let best = others.compactMap { name in
                one.server(name)?.median(metric).map { (name: name, value: $0) }
            }.min { $0.value < $1.value }
            return best.flatMap { one.ratio(metric, Peer.ours, by: $0.name) }
        case .figure(let metric):
            let values = one.server(Peer.ours)?.values(metric) ?? []
            return Ratio(values, values.map { _ in 1 })
        case .dispatch: return nil
        }
    }
}
