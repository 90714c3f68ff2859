extension Duration {
    /// Whole nanoseconds; negative becomes 0, and what does not fit (584 years) the most that does.
    var nanoseconds: UInt64 {
        // `components` itself traps beyond 2⁶³ seconds.
        guard self > .zero else { return 0 }
        guard self < .seconds(18_446_744_074) else { return .max }
        let (seconds, attoseconds) = components
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return .max }
        let (sum, carry) = product.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000)
        return carry ? .max : sum
    }
}
