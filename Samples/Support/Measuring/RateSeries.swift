/// How a count grew over time: samples at equal distances, whose distance doubles when they become many.
struct RateSeries {
    /// Nanoseconds of a sample.
    private(set) var interval: UInt64
    /// What was counted in each interval.
    private(set) var counts: [UInt64] = []
    private var total: UInt64 = 0
    /// What the last sample is longer than the others, in nanoseconds, when there is no more to come.
    private var rest: UInt64 = 0
    private let mostSamples: Int

    /// - Parameters:
    ///   - interval: nanoseconds of a sample, at first.
    ///   - mostSamples: even; the memory of a run that goes on for days is that of these.
    init(interval: UInt64 = 100_000_000, mostSamples: Int = 600) {
        self.interval = interval
        self.mostSamples = mostSamples
    }

    /// Notes how far the count is.
    ///
    /// - Parameters:
    ///   - total: the count, from the beginning.
    ///   - time: nanoseconds since the beginning.
    mutating func note(total: UInt64, at time: UInt64) {
        while time / interval > UInt64(mostSamples) { coarsen() }
        // What came since the last time came evenly, as far as is known: a late look makes no gap and no peak.
        let due = time / interval
        guard due > UInt64(counts.count) else { return }
        let missing = due - UInt64(counts.count)
        let grown = total - min(total, self.total)
        self.total = total
        for number in 0..<missing { counts.append(grown / missing + (number < grown % missing ? 1 : 0)) }
    }

    /// Notes the end. What is no whole sample belongs to the last one.
    mutating func end(total: UInt64, at time: UInt64) {
        note(total: total, at: time)
        guard let last = counts.indices.last else {
            // All of it was shorter than a sample.
            guard time > 0 else { return }
            interval = time
            counts = [total]
            return
        }
        counts[last] += total - min(total, self.total)
        self.total = total
        rest = time - min(time, UInt64(counts.count) * interval)
    }

    /// Makes one sample of each two.
    private mutating func coarsen() {
        // The first half of a sample is counted again with the second.
        if !counts.count.isMultiple(of: 2) { total -= counts.removeLast() }
        counts = stride(from: 0, to: counts.count, by: 2).map { counts[$0] + counts[$0 + 1] }
        interval *= 2
    }

    /// For each sample: seconds since the beginning, at its middle, and the rate by the second.
    var points: [(time: Double, rate: Double)] {
        counts.enumerated().map { number, count in
            let length = Double(number == counts.count - 1 ? interval + rest : interval) / 1e9
            return (Double(number) * Double(interval) / 1e9 + length / 2, Double(count) / length)
        }
    }
}
