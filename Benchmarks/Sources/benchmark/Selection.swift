import Glibc

/// Which part of the matrix is run.
struct Selection {
    let quick: Bool
    /// Patterns; none takes all.
    let caseNames: [String]
    let serverNames: [String]

    init(quick: Bool = false, cases: [String] = [], servers: [String] = []) {
        self.quick = quick
        caseNames = cases
        serverNames = servers
    }

    var cases: [Case] {
        Case.all.filter { candidate in
            guard caseNames.isEmpty else { return caseNames.contains { Selection.matches(candidate.name, $0) } }
            // A small case for those in a hurry says nothing that the large one does not.
            return quick ? candidate.isQuick : candidate.name != "idle-echo-1000"
        }
    }

    /// Whether the dispatch of no-ops is measured too, which has no server.
    var takesDispatch: Bool { caseNames.isEmpty || caseNames.contains { Selection.matches("dispatch", $0) } }

    func takes(_ peer: Peer) -> Bool {
        // Without ours there is nothing to divide.
        if peer.name == Peer.ours { return true }
        guard serverNames.isEmpty else { return serverNames.contains { Selection.matches(peer.name, $0) } }
        return !quick || peer.isQuick
    }

    /// A part of the name, or, with a wildcard, the whole of it as `fnmatch` has it.
    static func matches(_ name: String, _ pattern: String) -> Bool {
        guard pattern.contains(where: { "*?[".contains($0) }) else { return name.contains(pattern) }
        return fnmatch(pattern, name, 0) == 0
    }
}
