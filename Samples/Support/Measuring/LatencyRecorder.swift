import Histogram

/// How long each operation took, in nanoseconds, in a histogram: memory that does not grow with their number.
final class LatencyRecorder {
    /// Three significant digits, up to an hour.
    private(set) var histogram = Histogram<UInt64>(
        highestTrackableValue: LatencyRecorder.longest, numberOfSignificantValueDigits: .three)
    /// Bytes of all operations.
    private(set) var bytes: UInt64 = 0

    /// What takes longer counts as an hour.
    static let longest: UInt64 = 3_600_000_000_000

    /// Operations so far.
    var count: UInt64 { histogram.totalCount }

    /// Notes an operation.
    @inline(__always)
    func record(_ nanoseconds: UInt64, bytes: Int) {
        histogram.record(min(nanoseconds, LatencyRecorder.longest))
        self.bytes &+= UInt64(bytes)
    }

    /// The latency that so many per cent of all operations did not exceed, in nanoseconds.
    func percentile(_ percentile: Double) -> UInt64 { histogram.valueAtPercentile(percentile) }
}
