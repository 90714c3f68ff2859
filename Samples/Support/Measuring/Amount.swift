import Glibc

/// Numbers as people read them.
enum Amount {
    /// A number with so many digits behind the point.
    static func fixed(_ number: Double, _ digits: Int) -> String {
        guard number.isFinite else { return "-" }
        let factor = pow(10, Double(digits))
        let rounded = (number.magnitude * factor).rounded()
        guard rounded < 1e15 else { return "\(number)" }
        let units = UInt64(rounded)
        let whole = units / UInt64(factor)
        let sign = number < 0 && units > 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(whole)" }
        let fraction = String(units % UInt64(factor))
        return "\(sign)\(whole)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    /// Three digits that count: `1.23`, `12.3`, `123`, and beyond that with separators: `1,235`.
    static func short(_ number: Double) -> String {
        let size = number.magnitude
        if size >= 999.5 { return grouped(number) }
        return fixed(number, size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2)
    }

    /// A whole number with separators: `1,234,567`.
    static func grouped(_ number: Double) -> String {
        guard number.isFinite, number.magnitude < 1e15 else { return "\(number)" }
        return (number < 0 ? "-" : "") + grouped(UInt64(number.magnitude.rounded()))
    }

    static func grouped(_ number: UInt64) -> String {
        let digits = Array(String(number))
        var text = ""
        for (place, digit) in digits.enumerated() {
            if place > 0, (digits.count - place) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }

    /// A time in the unit that suits it: `870 ns`, `12.3 µs`, `4.56 ms`, `1.23 s`.
    static func time(nanoseconds: Double) -> String {
        switch nanoseconds {
        case ..<999.5: "\(fixed(nanoseconds, 0)) ns"
        case ..<999_500: "\(short(nanoseconds / 1e3)) µs"
        case ..<999_500_000: "\(short(nanoseconds / 1e6)) ms"
        default: "\(short(nanoseconds / 1e9)) s"
        }
    }

    static func time(nanoseconds: UInt64) -> String { time(nanoseconds: Double(nanoseconds)) }
}
