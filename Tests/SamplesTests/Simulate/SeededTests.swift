import Glibc
import Testing

@testable import samples

/// Connections, servers and brokers over the simulated kernel, with everything drawn from a seed: a few of the runs that
/// `samples simulate` does many of, in code that checks more and is slower.
@Suite struct SeededTests {
    @Test func everySeedHolds() throws {
        // As many as there is time for: a slow machine has others to test, too.
        let end = ContinuousClock.now + .seconds(6)
        for seed in UInt64(1)...300 where ContinuousClock.now < end {
            for failure in try WorkloadKind.drawn(by: seed).makeRun(seed: seed).perform() {
                Issue.record("samples simulate --seed \(seed) --verbose\n\(failure)")
            }
        }
    }
}
