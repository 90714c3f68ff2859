import Foundation

/// What a dispatch costs beside the ring, as the program `microbenchmarks` measures it.
struct Dispatch: Codable {
    let tasks: [Task]

    /// One figure for each round; the ratios are to the raw ring.
    struct Task: Codable {
        let name: String
        let nanoseconds: [Double]
        let ratios: [Double]

        var ratio: Ratio? { Ratio(ratios, ratios.map { _ in 1 }) }
    }

    func task(_ name: String) -> Task? { tasks.first { $0.name.hasSuffix(name) } }

    /// Runs it on the server's core. More rounds than of the matrix: each takes a second.
    static func measure(_ programs: Programs, cores: Cores, rounds: Int, scratch: ScratchFolder) throws -> Dispatch {
        let program = programs.built("microbenchmarks")
        if let reason = Programs.whyMissing(program) { throw Problem(reason) }
        let folder = try scratch.makeFolder("dispatch")
        let file = folder.appendingPathComponent("dispatch.json")
        let child = try Child(
            program, ["--only", "dispatch:", "--rounds", "\(max(rounds, 9))", "--json", file.path], core: cores.server,
            folder: folder, name: "microbenchmarks")
        defer { child.terminate() }
        guard let end = child.wait(.seconds(300)) else { throw Problem("microbenchmarks hangs", child) }
        guard end == .exited(0) else { throw Problem("microbenchmarks: \(end)", child) }
        return Dispatch(tasks: try JSONDecoder().decode([Task].self, from: try Data(contentsOf: file)))
    }

    var section: String {
        var table = MarkdownTable([("no-op", .left), ("CPU ns", .right), ("÷ raw ring", .right)])
        for task in tasks {
            table.add([
                task.name.replacingOccurrences(of: "dispatch: ", with: ""), Format.figure(middle(of: task.nanoseconds)),
                Format.ratio(task.ratio),
            ])
        }
        return """
            ## Dispatch

            No-ops with 256 in flight, each started by the end of another, on one core.

            \(table.text)
            """
    }
}
