/// What `--list` says.
struct Listing {
    let selection: Selection
    let peers: [Peer]

    func print() {
        Swift.print("Cases:")
        for one in selection.cases {
            let servers = peers.filter { selection.takes($0) && $0.takesPart(in: one.workload) }.map(\.name)
            Swift.print("  \(one.name): \(servers.joined(separator: ", "))")
        }
        Swift.print("\nServers:")
        for peer in peers {
            Swift.print("  \(peer.name): \(peer.description)\(peer.whyMissing.map { "; left out: \($0)" } ?? "")")
        }
        Swift.print("\nTargets:")
        for target in Target.all { Swift.print("  \(target.text): at most \(Format.figure(target.limit))") }
    }
}
