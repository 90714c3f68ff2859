import CTestSupport
import Glibc

/// How large the acceptance tests are: 1 is the full size, and what `UR_TEST_SCALE` says otherwise.
enum Scale {
    static let factor: Double = {
        guard let text = unsafe getenv("UR_TEST_SCALE") else { return 1 }
        return min(max(unsafe Double(String(cString: text)) ?? 1, 0.01), 1)
    }()

    /// As much of `full` as the scale says, and so many that the rule under test still shows.
    static func of(_ full: Int, atLeast least: Int) -> Int { max(least, Int(Double(full) * factor)) }
}

/// Whether memory means what it says: not under a sanitizer, which keeps books and shadows of its own.
let memoryIsMeasurable = allocation_counter_works()

/// Prints a figure that was measured, to be found in the output of the tests.
func measured(_ figure: String) { print("measured: \(figure)") }
