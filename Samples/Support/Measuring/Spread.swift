/// How far some values lie apart.
struct Spread: Equatable {
    let count: Int
    let least: Double
    let mean: Double
    let most: Double
    /// Of all of them, not of a sample of more.
    let standardDeviation: Double

    /// Nil without values.
    init?(_ values: [Double]) {
        guard let least = values.min(), let most = values.max() else { return nil }
        count = values.count
        self.least = least
        self.most = most
        mean = values.reduce(0, +) / Double(values.count)
        let mean = mean
        standardDeviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)).squareRoot()
    }
}
