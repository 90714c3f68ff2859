import Glibc
import Testing

/// Connections, servers and a broker over the simulated kernel, with everything drawn from a seed.
///
/// `SEEDS=10000 FIRST_SEED=1 swift test --filter SeededTests` runs more of them; to repeat one that failed, `SEEDS=1` and
/// its number.
@Suite struct SeededTests {
    private static func setting(_ name: String) -> UInt64? {
        unsafe getenv(name).flatMap { unsafe UInt64(String(cString: $0)) }
    }

    @Test func everySeedHolds() throws {
        let first = Self.setting("FIRST_SEED") ?? 1
        let count = Self.setting("SEEDS")
        // By default as many as there is time for: a slow machine has others to test, too.
        let end = ContinuousClock.now + .seconds(6)
        for seed in first..<(first + (count ?? 300)) where count != nil || ContinuousClock.now < end {
            // Where the process ends, the last number tells which one it was.
            if count != nil {
                print("seed \(seed)")
                fflush(nil)
            }
            let failures = try Workload(seed: seed).run()
            for failure in failures {
                Issue.record("SEEDS=1 FIRST_SEED=\(seed) swift test --filter SeededTests\n\(failure)")
            }
        }
    }
}
