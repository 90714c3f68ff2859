import Testing

@testable import samples

/// The workload over Linux. In a process of its own: it looks for sockets that are left, and tests that run beside it
/// have theirs.
@Suite struct RealRunTests {
    @Test func someSeedsHoldOverLinux() throws {
        let text = try ServerProcess.output(of: ["simulate", "--real", "--seeds", "25", "--keep-going"])
        #expect(text.contains("seeds 1 to 25: all 25 held"), "\(text)")
    }

    @Test func aRealRunHasNoTrace() throws {
        #expect(throws: (any Error).self) { try Simulate.parse(["--real", "--verbose"]) }
        #expect(try Simulate.parse(["--real", "--seed", "3"]).count == 1)
    }
}
