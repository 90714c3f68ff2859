import Testing

@testable import benchmark

@Suite struct TargetTests {
    private let target = Target(text: "CPU", cases: ["echo-*"], measure: .ratio(.cpu, to: ["a", "b"]), limit: 1.1)

    /// A case with CPU times a message, of each server in each round.
    private func result(_ name: String, _ figures: [String: [Double]]) -> CaseResult {
        let workload = Workload.echo(connections: 1, size: 64, depth: 1)
        return CaseResult(
            testCase: Case(name: name, group: .echo, workload: workload),
            servers: figures.map { server, rounds in
                ServerResult(
                    server: server,
                    rounds: rounds.map { cpu in
                        var measurement = Measurement()
                        measurement.deliveries = 1
                        measurement.serverCpuNs = cpu
                        return measurement
                    })
            })
    }

    @Test func theBetterTwinCounts() {
        let outcome = TargetOutcome(target, [result("echo-1", ["ours": [100], "a": [200], "b": [80]])])
        #expect(outcome.figure == 1.25)
        #expect(outcome.verdict == .missed)
        #expect(outcome.above == ["echo-1"])
    }

    @Test func theWorstCaseDecides() {
        let outcome = TargetOutcome(
            target, [result("echo-1", ["ours": [90], "a": [100]]), result("echo-2", ["ours": [105], "a": [100]])])
        #expect(outcome.figure == 1.05)
        #expect(outcome.decidingCase == "echo-2")
        #expect(outcome.verdict == .met)
        #expect(outcome.caseCount == 2)
    }

    @Test func roundsThatDisagreeAreATie() {
        let outcome = TargetOutcome(target, [result("echo-1", ["ours": [100, 115, 120], "a": [100, 100, 100]])])
        #expect(outcome.figure == 1.15)
        #expect(outcome.verdict == .tie)
    }

    @Test func theMedianOfTheCases() {
        var median = target
        median.across = .median
        let outcome = TargetOutcome(
            median,
            [
                result("echo-1", ["ours": [90], "a": [100]]), result("echo-2", ["ours": [100], "a": [100]]),
                result("echo-3", ["ours": [300], "a": [100]]),
            ])
        #expect(outcome.figure == 1)
        #expect(outcome.verdict == .met)
    }

    @Test func withoutAFigureNothingIsSaid() {
        #expect(TargetOutcome(target, []).verdict == .notMeasured)
        #expect(TargetOutcome(target, [result("fanout-1", ["ours": [1], "a": [1]])]).verdict == .notMeasured)
        #expect(TargetOutcome(target, [result("echo-1", ["ours": [1]])]).verdict == .notMeasured)
    }

    @Test func dispatchIsComparedWithTheRawRing() {
        let target = Target(text: "", cases: [], measure: .dispatch("state machine"), limit: 1.15)
        func verdict(_ ratios: [Double]) -> TargetOutcome.Verdict {
            let task = Dispatch.Task(name: "dispatch: state machine", nanoseconds: ratios, ratios: ratios)
            return TargetOutcome(target, [], Dispatch(tasks: [task])).verdict
        }
        #expect(verdict([1.1, 1.15, 1.2]) == .met)
        #expect(verdict([1.1, 1.2, 1.3]) == .tie)
        #expect(verdict([1.2, 1.3, 1.4]) == .missed)
        #expect(TargetOutcome(target, []).verdict == .notMeasured)
    }
}
