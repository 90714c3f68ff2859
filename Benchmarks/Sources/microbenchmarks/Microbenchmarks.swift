import ArgumentParser
import Foundation

/// What is done in one thread, without a network: nanoseconds of CPU time for each operation.
@main
struct Microbenchmarks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "microbenchmarks",
        abstract: "Measures dispatch, buffers, line splitting and the broker, without a network.",
        discussion: """
            All that belongs together is measured in turn, round after round, and the ratios are those of the same round: \
            medians, with the lowest and the highest.
            """
    )

    @Option(help: "How often each is measured.")
    var rounds = 9

    @Option(name: .customLong("only"), help: ArgumentHelp("Only those whose name contains this.", valueName: "text"))
    var only: String?

    @Option(help: ArgumentHelp("Write all that was measured there.", valueName: "file"))
    var json: String?

    func validate() throws {
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be from 1 to 1000") }
    }

    func run() throws {
        let groups = [Dispatch.group(), MemoryTasks.group(), LineTasks.group(), BrokerTasks.group()]
            .map { group in only.map { group.filtered(by: $0) } ?? group }
            .filter { !$0.tasks.isEmpty }
        guard !groups.isEmpty else { throw ValidationError("nothing has a name that contains \(only ?? "")") }
        let results = try groups.map { try $0.measure(rounds: rounds) }
        for result in results { print(result.table) }
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            try encoder.encode(results.flatMap(\.tasks)).write(to: URL(fileURLWithPath: json))
        }
    }
}
