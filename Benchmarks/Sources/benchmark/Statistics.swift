/// The middle one; of an even number, the mean of the two in the middle. Nil of none.
func middle(of values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}

/// One server's figure divided by another's, round by round.
struct Ratio: Codable, Equatable {
    let median: Double
    let lowest: Double
    let highest: Double
    /// How many rounds both have.
    let rounds: Int

    /// What lies this close to 1 is a tie.
    static let noise = 0.07

    /// Rounds that either has not, or whose divisor is 0, do not count; nil if none is left.
    init?(_ dividends: [Double?], _ divisors: [Double?]) {
        let ratios = zip(dividends, divisors).compactMap { pair -> Double? in
            guard let dividend = pair.0, let divisor = pair.1, divisor > 0 else { return nil }
            return dividend / divisor
        }
        guard let median = middle(of: ratios), let lowest = ratios.min(), let highest = ratios.max() else { return nil }
        self.init(median: median, lowest: lowest, highest: highest, rounds: ratios.count)
    }

    init(median: Double, lowest: Double, highest: Double, rounds: Int) {
        self.median = median
        self.lowest = lowest
        self.highest = highest
        self.rounds = rounds
    }

    /// Whether the difference may be chance: it is small, or the rounds do not agree on its direction.
    var isWithinNoise: Bool { (1 - Ratio.noise...1 + Ratio.noise).contains(median) || (lowest <= 1 && highest >= 1) }
}
