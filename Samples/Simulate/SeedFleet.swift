import Glibc
import SystemPackage

/// Processes that run seeds side by side: one that crashes takes only itself along, and is replaced by one that goes on
/// with the seed after.
final class SeedFleet {
    private let workload: WorkloadKind?
    private let isReal: Bool
    private let steps: Int
    private let stopsAtFailure: Bool
    private let patience: Duration
    private var workers: [Worker] = []
    private var outcome = Outcome()

    /// What came of all seeds.
    struct Outcome {
        fileprivate(set) var failures: [Failure] = []
        fileprivate(set) var held: UInt64 = 0
        fileprivate(set) var counts = RunCounts()
        fileprivate(set) var time = Duration.zero

        var done: UInt64 { held + UInt64(failures.count) }
    }

    struct Failure {
        let seed: UInt64
        let lines: [String]
    }

    private final class Worker {
        let process: ChildProcess
        let stride: UInt64
        /// Its next seed, and how many are left from that on.
        private(set) var next: UInt64
        private(set) var left: UInt64
        private(set) var current: UInt64?
        var since = ContinuousClock.now
        var lines: [String] = []
        var wasEnded = false

        init(_ process: ChildProcess, next: UInt64, stride: UInt64, left: UInt64) {
            (self.process, self.next, self.stride, self.left) = (process, next, stride, left)
        }

        func begins() {
            (current, since, lines) = (next, .now, [])
        }

        func passes() {
            current = nil
            left -= 1
            if left > 0 { next += stride }
        }
    }

    init(workload: WorkloadKind?, isReal: Bool, steps: Int, stopsAtFailure: Bool, patience: Duration) {
        (self.workload, self.isReal, self.steps) = (workload, isReal, steps)
        (self.stopsAtFailure, self.patience) = (stopsAtFailure, patience)
    }

    /// Runs seeds `first ..< first + count`, and calls back at each that fails.
    func run(
        from first: UInt64, count: UInt64, jobs: UInt64, progress: SeedProgress, onFailure: (Failure) -> Void
    ) throws -> Outcome {
        let start = ContinuousClock.now
        for job in 0..<jobs {
            // Every jobs-th seed, so that all end at about the same time.
            let seeds = count / jobs + (job < count % jobs ? 1 : 0)
            try startWorker(from: first + job, stride: jobs, count: seeds)
        }
        while !workers.isEmpty {
            var polled = workers.map { pollfd(fd: $0.process.output.rawValue, events: Int16(POLLIN), revents: 0) }
            _ = unsafe poll(&polled, nfds_t(polled.count), 250)
            for (place, worker) in workers.enumerated() where polled[place].revents != 0 {
                let known = outcome.failures.count
                try listen(to: worker)
                for failure in outcome.failures[known...] { onFailure(failure) }
                if stopsAtFailure, !outcome.failures.isEmpty { return finish(start) }
            }
            endThoseThatHang()
            progress.show(done: outcome.done, failed: outcome.failures.count)
        }
        return finish(start)
    }

    private func finish(_ start: ContinuousClock.Instant) -> Outcome {
        workers = []
        outcome.time = ContinuousClock.now - start
        return outcome
    }

    private func startWorker(from first: UInt64, stride: UInt64, count: UInt64) throws {
        var arguments = [
            "simulate", "--worker", "--seed", "\(first)", "--seeds", "\(count)", "--stride", "\(stride)", "--steps",
            "\(steps)", "--patience", "\(patience / .seconds(1))",
        ]
        if let workload { arguments += ["--workload", workload.rawValue] }
        if isReal { arguments.append("--real") }
        let process: ChildProcess
        do {
            process = try ChildProcess(arguments)
        } catch let errno as Errno {
            throw NoMoreWorkers(running: workers.count, errno: errno)
        }
        workers.append(Worker(process, next: first, stride: stride, left: count))
    }

    private func listen(to worker: Worker) throws {
        guard let lines = try worker.process.readLines() else {
            workers.removeAll { $0 === worker }
            return try hasEnded(worker)
        }
        for line in lines { hear(line, worker) }
    }

    private func hear(_ line: String, _ worker: Worker) {
        let words = line.split(separator: " ", maxSplits: 2)
        // The runtime writes there as well, and may begin with any word: only the number of its seed makes it the worker's.
        let seed = words.count > 1 ? UInt64(words[1]) : nil
        switch words.first {
        case "start" where worker.current == nil && worker.left > 0 && seed == worker.next: worker.begins()
        case "held" where worker.current != nil && seed == worker.current:
            outcome.held += 1
            if words.count > 2 { outcome.counts.add(String(words[2])) }
            worker.passes()
        case "failed" where worker.current != nil && seed == worker.current:
            outcome.failures.append(Failure(seed: worker.next, lines: worker.lines))
            worker.passes()
        case "|": worker.lines.append(String(line.dropFirst(2)))
        // What the runtime says of a crash, on standard error.
        default: worker.lines.append(line)
        }
    }

    private func hasEnded(_ worker: Worker) throws {
        let end = worker.process.wait()
        guard worker.left > 0 else { return }
        let seed = worker.current ?? worker.next
        let how = worker.wasEnded ? "no end after \(patience)" : "the process ended with \(end)"
        // A backtrace ends with the registers and the libraries, which say nothing to a reader.
        let said = worker.lines.prefix { $0 != "Registers:" }.prefix(60)
        let lastSteps = isReal || steps == 0 ? [] : try lastSteps(of: seed)
        outcome.failures.append(Failure(seed: seed, lines: [how] + said + lastSteps))
        // Nobody was listened to meanwhile, and who is not listened to has to wait.
        for other in workers { other.since = .now }
        worker.passes()
        guard worker.left > 0, !stopsAtFailure else { return }
        try startWorker(from: worker.next, stride: worker.stride, count: worker.left)
    }

    /// Whoever crashes or hangs leaves no trace, but does the same again. One that hangs is silent then, or has no end.
    private func lastSteps(of seed: UInt64) throws -> [String] {
        var arguments = ["simulate", "--seed", "\(seed)", "--verbose"]
        if let workload { arguments += ["--workload", workload.rawValue] }
        let process = try ChildProcess(arguments)
        let deadline = ContinuousClock.now + patience
        var last: [String] = []
        while ContinuousClock.now < deadline, process.hasOutput(within: min(patience, .seconds(5))),
            let lines = try process.readLines()
        {
            // Steps begin with the time; what the runtime says of the crash has been heard.
            last += lines.filter { $0.first?.isNumber ?? false }
            last.removeFirst(max(0, last.count - steps))
        }
        // Nobody has listened to the others for so long.
        for worker in workers { worker.since = .now }
        return ["the last steps:"] + last.map { "  \($0)" }
    }

    private func endThoseThatHang() {
        let now = ContinuousClock.now
        for worker in workers where worker.current != nil && now - worker.since > patience && !worker.wasEnded {
            worker.wasEnded = true
            worker.process.kill()
        }
    }
}

/// A worker could not be started.
struct NoMoreWorkers: Error, CustomStringConvertible {
    let running: Int
    let errno: Errno

    var description: String {
        "no process could be started beside \(running) others: \(errno); with a smaller --jobs there are fewer"
    }
}

extension SeedFleet.Failure {
    func report(_ workload: WorkloadKind?, isReal: Bool) -> String {
        let choice = workload.map { " --workload \($0.rawValue)" } ?? ""
        let text = lines.map { "  \($0)" }.joined(separator: "\n")
        return """
            seed \(seed) failed (\((workload ?? .drawn(by: seed, isReal: isReal)).rawValue)):
            \(text)
            to \(isReal ? "try it again: samples simulate --real" : "repeat it: samples simulate --verbose") \
            --seed \(seed)\(choice)

            """
    }
}

extension SeedFleet.Outcome {
    func summary(first: UInt64, of count: UInt64) -> String {
        let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
        let rate = seconds > 0 ? Int(Double(done) / seconds) : 0
        let range = count == 1 ? "seed \(first)" : "seeds \(first) to \(first + (count - 1))"
        let verdict = failures.isEmpty
            ? count == 1 ? "\(range) held" : "\(range): all \(count) held"
            : "\(range): \(failures.count) failed, \(held) held, \(count - done) not run"
        return "\(verdict), \(rate) seeds/s\n\(counts)"
    }
}
