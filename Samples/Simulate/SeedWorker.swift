import Glibc
import ReactorTesting
import SystemPackage

/// Runs seeds one after the other, and says so on standard output, for the process that started this one:
/// `start 7`, then either `held 7` and some counts, or the lines of a failure, each after `| `, and `failed 7`.
struct SeedWorker {
    /// What each run is; nil for what its seed draws.
    let workload: WorkloadKind?
    /// How many of the last steps a failure shows.
    let steps: Int
    /// Over Linux, where a failure has no steps to show.
    let isReal: Bool
    /// How long a run may take. Who started this process sees to that; if nobody is there any more, the alarm clock does.
    let patience: Double

    func run(from first: UInt64, stride: UInt64, count: UInt64) throws {
        for place in 0..<count {
            let seed = first + place * stride
            try say("start \(seed)")
            alarm(UInt32(patience) + 10)
            // The run is gone before anything is said of it: what crashes as it goes is the fault of its seed.
            let (failures, counts) = try perform(seed)
            if failures.isEmpty {
                try say("held \(seed) \(counts.line)")
                continue
            }
            for line in failures.flatMap({ $0.split(separator: "\n", omittingEmptySubsequences: false) }) {
                try say("| \(line)")
            }
            try say("failed \(seed)")
        }
    }

    /// - Returns: What was wrong, and the last steps if anything was.
    private func perform(_ seed: UInt64) throws -> (failures: [String], counts: RunCounts) {
        let kind = workload ?? .drawn(by: seed, isReal: isReal)
        let run: any Run = isReal ? try kind.makeRealRun(seed: seed) : try kind.makeRun(seed: seed)
        var failures = try run.perform()
        if !failures.isEmpty, let run = run as? SimulatedRun {
            failures.append("the last steps:")
            failures += run.kernel.trace.suffix(steps).map { "  \($0)" }
        }
        return (failures, run.counts)
    }

    /// Ends the process when nobody listens any more.
    private func say(_ line: String) throws {
        _ = try FileDescriptor.standardOutput.writeAll((line + "\n").utf8)
    }

    /// Runs one seed here, and prints every step.
    ///
    /// - Returns: What failed.
    static func trace(_ seed: UInt64, _ workload: WorkloadKind?) throws -> [String] {
        let kind = workload ?? .drawn(by: seed)
        printLine("seed \(seed): \(kind.rawValue)")
        let run = try kind.makeRun(seed: seed)
        run.kernel.onTrace = { printLine("\($0)") }
        return try run.perform()
    }
}
