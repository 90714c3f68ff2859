/// How a count grew over time: samples at equal distances, whose distance doubles when they become many.
struct RateSeries {
    /// Nanoseconds of a sample.
    private(set) var interval: UInt64
    /// What was counted in each interval.
    private(set) var counts: [UInt64] = []
    /// What is in the samples.
    private var counted: UInt64 = 0
    /// The last look: nanoseconds since the beginning, and the count.
    private var latest: (time: UInt64, total: UInt64) = (0, 0)
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
        let (earlier, before) = latest
        latest = (time, total)
        while UInt64(counts.count) < time / interval {
            // Between two looks it grew evenly, as far as is known: a late look makes no gap and no peak.
            let end = UInt64(counts.count + 1) * interval
            let share = Double(end - min(end, earlier)) / Double(max(1, time - min(time, earlier)))
            let then = before + UInt64(Double(total - min(total, before)) * min(share, 1))
            counts.append(then - min(then, counted))
            counted = max(then, counted)
        }
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
        counts[last] += total - min(total, counted)
        counted = total
        rest = time - min(time, UInt64(counts.count) * interval)
    }

    /// Makes one sample of each two.
    private mutating func coarsen() {
        // The first half of a sample is counted again with the second.
        if !counts.count.isMultiple(of: 2) { counted -= counts.removeLast() }
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
