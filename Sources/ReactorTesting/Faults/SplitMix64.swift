/// A small generator whose whole state is one number: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators" (2014). The same seed gives the same numbers on every machine and in every version of Swift.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) {
        state = seed
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A number from `range`. Not the standard library's, which may change how many numbers it draws.
    public mutating func next(in range: ClosedRange<UInt64>) -> UInt64 {
        let width = range.upperBound - range.lowerBound
        guard width < .max else { return next() }
        return range.lowerBound + next().multipliedFullWidth(by: width + 1).high
    }

    /// A number from `range`.
    public mutating func next(in range: ClosedRange<Int>) -> Int {
        precondition(range.lowerBound >= 0, "only ranges of numbers from 0 on")
        return Int(next(in: UInt64(range.lowerBound)...UInt64(range.upperBound)))
    }

    /// A number from 0 up to, and without, 1.
    public mutating func nextUnit() -> Double {
        Double(next() >> 11) * 0x1p-53
    }
}
