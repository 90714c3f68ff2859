/// In which order what is measured.
struct Plan {
    let cases: [Case]
    let peers: [Peer]
    let rounds: Int

    /// Only cases in which our server takes part with at least itself.
    init(cases: [Case], peers: [Peer], rounds: Int) {
        self.cases = cases.filter { one in peers.contains { $0.takesPart(in: one.workload) } }
        self.peers = peers
        self.rounds = rounds
    }

    var isEmpty: Bool { cases.isEmpty }

    func peers(in one: Case) -> [Peer] { peers.filter { $0.takesPart(in: one.workload) } }

    /// The servers in the order of this round: rotated, so that none is always the one after the heaviest.
    func order(in one: Case, round: Int) -> [Peer] { Plan.rotated(peers(in: one), by: round) }

    /// Rounds and, but for idle cases, where there is nothing to count, the counting pass.
    var stepCount: Int { cases.reduce(0) { $0 + peers(in: $1).count * (rounds + ($1.group.isCounted ? 1 : 0)) } }

    static func rotated<Element>(_ elements: [Element], by count: Int) -> [Element] {
        guard !elements.isEmpty else { return [] }
        let start = count % elements.count
        return Array(elements[start...] + elements[..<start])
    }
}

extension Case.Group {
    /// Whether system calls and allocations are counted, in a pass of its own.
    var isCounted: Bool { self != .idle }
}
