import Testing

@testable import benchmark

@Suite struct StatisticsTests {
    @Test(arguments: [([], nil), ([3], 3), ([3, 1, 2], 2), ([4, 1, 3, 2], 2.5)] as [([Double], Double?)])
    func theMiddle(_ values: [Double], _ expected: Double?) {
        #expect(middle(of: values) == expected)
    }

    @Test func aRatioIsOfTheSameRound() throws {
        let ratio = try #require(Ratio([10, 20, 30], [10, 10, 10]))
        #expect(ratio == Ratio(median: 2, lowest: 1, highest: 3, rounds: 3))
        // The median of the ratios, which is not the ratio of the medians.
        let crossed = try #require(Ratio([1, 2, 9], [1, 4, 3]))
        #expect(crossed.median == 1)
    }

    @Test func roundsThatFailedDoNotCount() throws {
        let ratio = try #require(Ratio([10, nil, 30], [10, 10, 0]))
        #expect(ratio.rounds == 1 && ratio.median == 1)
        #expect(Ratio([nil], [1]) == nil)
        #expect(Ratio([], []) == nil)
    }

    @Test(arguments: [
        (Ratio(median: 1.07, lowest: 1.06, highest: 1.08, rounds: 3), true),
        (Ratio(median: 0.93, lowest: 0.92, highest: 0.94, rounds: 3), true),
        (Ratio(median: 1.20, lowest: 1.10, highest: 1.30, rounds: 3), false),
        (Ratio(median: 0.80, lowest: 0.70, highest: 0.90, rounds: 3), false),
        (Ratio(median: 1.20, lowest: 0.99, highest: 1.30, rounds: 3), true),
        (Ratio(median: 0.80, lowest: 0.70, highest: 1.00, rounds: 3), true),
    ])
    func noise(_ ratio: Ratio, _ isWithin: Bool) {
        #expect(ratio.isWithinNoise == isWithin)
    }
}
