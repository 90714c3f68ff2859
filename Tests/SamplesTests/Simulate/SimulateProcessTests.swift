import Glibc
import SystemPackage
import Testing

@testable import samples

/// `samples simulate` as a user sees it: processes, their output, and what becomes of one that dies.
@Suite struct SimulateProcessTests {
    /// Nothing depends on the process: not the order of a dictionary, not where memory lies, not the time of day.
    @Test func aSeedDoesTheSameInEveryProcess() throws {
        let arguments = ["simulate", "--seed", "1", "--seeds", "12", "--verbose"]
        let first = try ServerProcess.output(of: arguments)
        #expect(first.split(separator: "\n").count > 1_000)
        #expect(first.contains("seed 12 held"))
        let second = try ServerProcess.output(of: arguments)
        // Not in the expectation: if they differ, they are long.
        let isSame = first == second
        #expect(isSame)
    }

    @Test func seedsAreSharedAmongProcesses() throws {
        let text = try ServerProcess.output(of: ["simulate", "--seed", "5", "--seeds", "7", "--jobs", "3"])
        #expect(text.contains("seeds 5 to 11: all 7 held"), "\(text)")
        #expect(try ServerProcess.output(of: ["simulate", "--seed", "8"]).hasPrefix("seed 8 held"))
    }

    /// The seed that it was at has failed, and is run again for its last steps.
    @Test func aWorkerThatDiesIsReported() throws {
        let process = try ServerProcess.start(["simulate", "--seeds", "1000000", "--jobs", "1"])
        kill(try worker(of: process.pid), SIGKILL)
        let failure = #expect(throws: ServerProcess.Failure.self) { try process.end() }
        let text = failure?.what ?? ""
        #expect(text.contains("the process ended with signal 9"), "\(text)")
        #expect(text.contains("to repeat it: samples simulate --verbose --seed"), "\(text)")
        #expect(text.contains(": 1 failed, "), "\(text)")
    }

    @Test(arguments: [
        ["--seeds", "0"], ["--jobs", "0"], ["--steps", "-1"], ["--patience", "0"], ["--workload", "other"],
        ["--seed", "18446744073709551615", "--seeds", "2"], ["--real", "--workload", "operations"],
    ])
    func whatMakesNoSenseIsRefused(arguments: [String]) {
        #expect(throws: (any Error).self) { try Simulate.parse(arguments) }
    }

    /// The first child of a process. It is there as soon as the process has got so far.
    private func worker(of process: pid_t) throws -> pid_t {
        let path = FilePath("/proc/\(process)/task/\(process)/children")
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            let file = try FileDescriptor.open(path, .readOnly)
            defer { try? file.close() }
            var bytes = [UInt8](repeating: 0, count: 256)
            let count = unsafe try bytes.withUnsafeMutableBytes { unsafe try file.read(into: $0) }
            let numbers = String(decoding: bytes[..<count], as: UTF8.self).split(separator: " ")
            if let first = numbers.first, let number = pid_t(first) { return number }
            sched_yield()
        }
        throw ServerProcess.Failure(what: "\(process) has no child")
    }
}
