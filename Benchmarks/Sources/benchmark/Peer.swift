import Foundation

/// A server that takes part.
struct Peer {
    let name: String
    /// What it is, for the list and the header.
    let description: String
    var isQuick = false
    /// Whether allocations can be counted by preloading a library: not where memory does not come from malloc.
    var countsAllocations = true
    /// Which services it offers and what it speaks; nil where it does not take part.
    let wireProtocol: (Workload) -> WireProtocol?
    let launch: (Workload) -> Launch
    /// Its version, or nil where it is built with this.
    var version: () -> String? = { nil }
    /// Why it cannot take part at all; nil if it can.
    let whyMissing: String?

    /// The one that is divided by all others.
    static let ours = "ours"
    static let oursWithCallbacks = "ours-callbacks"

    func takesPart(in workload: Workload) -> Bool { wireProtocol(workload) != nil }
}

/// How a server is started.
struct Launch {
    let program: String
    var arguments: [String]
    var environment: [String: String] = [:]
    /// Files that it finds in its folder, by name. In text and arguments `%FOLDER%` and `%PORT%` stand for what they say.
    var files: [String: String] = [:]
    /// Whether it says which port it got; otherwise the runner picks one.
    var printsPort = true
}
