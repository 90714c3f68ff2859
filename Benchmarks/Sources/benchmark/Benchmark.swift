import ArgumentParser

/// Measures this library's servers against their twins.
@main
struct Benchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "benchmark",
        abstract: "Measures this library's servers against their twins, interleaved, and writes tables.",
        subcommands: [Run.self],
        defaultSubcommand: Run.self
    )
}
