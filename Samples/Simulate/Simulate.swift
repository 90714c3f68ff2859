import ArgumentParser
import Glibc
import UringReactor

/// The library over a kernel in memory that is nasty on purpose, and repeatable by a seed.
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Runs servers, brokers and clients over a simulated kernel with faults, one run a seed.",
        discussion: """
            Short sends, resets, interrupted waits, buffers and descriptors that run out, completions in any order, a \
            queue that overflows, cancellations that come too late: what a seed draws, it draws again. No io_uring is \
            needed.

            Every message must come whole, once and in order, every callback once, and nothing may be left in the end. \
            Exit status 0 only if all of that held for every seed.

              samples simulate --seeds 10000         seeds 1 to 10,000, on all cores
              samples simulate --seed 42             one of them
              samples simulate --seed 42 --verbose   with every step, the same each time
              samples simulate --real --seeds 1000   over Linux, where nothing is made to fail
            """
    )

    @Option(help: "How many seeds; 1 with --seed.")
    var seeds: UInt64?

    @Option(help: "The first seed.")
    var seed: UInt64?

    @Option(help: "What to run: each seed draws one by default.")
    var workload: WorkloadKind?

    @Flag(help: "Over io_uring and loopback instead: no faults, real time, and not the same each time.")
    var real = false

    @Option(help: "How many processes; by default one a core.")
    var jobs: Int?

    @Flag(help: "Print every step of every run, in one process.")
    var verbose = false

    @Flag(help: "Go on after a seed that failed.")
    var keepGoing = false

    @Option(help: "How many of the last steps to show of a run that failed.")
    var steps = 40

    @Option(
        help: ArgumentHelp("A run that takes so long hangs, and is ended; simulated hours take microseconds.",
            valueName: "seconds"))
    var patience = 120.0

    @Flag(help: .hidden)
    var worker = false

    @Option(help: .hidden)
    var stride: UInt64 = 1

    static let defaultSeeds: UInt64 = 1_000

    func validate() throws {
        guard seeds != 0 else { throw ValidationError("--seeds must be at least 1") }
        guard jobs.map({ (1...1_024).contains($0) }) ?? true else { throw ValidationError("--jobs must be from 1 to 1024") }
        guard workload?.mayBeReal ?? true || !real else { throw ValidationError(NoBareDescriptors().description) }
        guard !(real && verbose) else {
            throw ValidationError("--verbose shows the steps of the simulated kernel; with --real there is none")
        }
        guard steps >= 0 else { throw ValidationError("--steps must not be negative") }
        guard (1...1e6).contains(patience) else { throw ValidationError("--patience must be from 1 to 1e6 seconds") }
        guard !(seed ?? 1).addingReportingOverflow(count - 1).overflow else {
            throw ValidationError("--seed and --seeds go past the last seed, \(UInt64.max)")
        }
    }

    var first: UInt64 { seed ?? 1 }
    var count: UInt64 { seeds ?? (seed == nil ? Simulate.defaultSeeds : 1) }

    func run() throws {
        if worker || verbose { FreedMemory.overwrite() }
        if worker {
            try SeedWorker(workload: workload, steps: steps, isReal: real, patience: patience)
                .run(from: first, stride: stride, count: count)
        } else if verbose {
            try runVerbosely()
        } else {
            try runAll()
        }
    }

    private func runVerbosely() throws {
        var failed = false
        for seed in first...(first + (count - 1)) {
            let failures = try SeedWorker.trace(seed, workload)
            for failure in failures { printLine("seed \(seed) failed: \(failure)") }
            if failures.isEmpty { printLine("seed \(seed) held") }
            failed = failed || !failures.isEmpty
            if failed, !keepGoing { break }
        }
        if failed { throw ExitCode.failure }
    }

    private func runAll() throws {
        let jobs = min(UInt64(jobs ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))), count)
        // Here, where it is one message and not one of each process.
        if real { _ = try Reactor() }
        let fleet = SeedFleet(
            workload: workload, isReal: real, steps: steps, stopsAtFailure: !keepGoing, patience: .seconds(patience))
        let progress = SeedProgress(total: count)
        let outcome = try fleet.run(from: first, count: count, jobs: jobs, progress: progress) { failure in
            progress.clear()
            printLine(failure.report(workload, isReal: real))
        }
        progress.clear()
        printLine(outcome.summary(first: first, of: count))
        if !outcome.failures.isEmpty { throw ExitCode.failure }
    }
}

extension WorkloadKind: ExpressibleByArgument {}
