import Foundation

/// Figures as people read them.
enum Format {
    /// Three significant digits, thousands apart: 0.0123, 1.23, 12.3, 123, 12,345.
    static func figure(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "–" }
        guard value != 0 else { return "0" }
        // Of what is shown: 9.996 is shown as 10.0.
        let unit = pow(10, floor(log10(abs(value))) - 2)
        let magnitude = Int(floor(log10(abs((value / unit).rounded() * unit)) + 1e-9))
        if magnitude >= 2 { return grouped(Int(value.rounded())) }
        return String(format: "%.\(min(2 - magnitude, 4))f", value)
    }

    /// 950, 12.3 k, 1.23 M.
    static func count(_ value: Double?) -> String {
        guard let value else { return "–" }
        return switch value {
        case 999_500...: "\(figure(value / 1e6)) M"
        case 9_995...: "\(figure(value / 1e3)) k"
        default: figure(value)
        }
    }

    /// Bytes in a name: 64B, 4KiB, 1MiB.
    static func size(_ bytes: Int) -> String {
        if bytes >= 1 << 20, bytes.isMultiple(of: 1 << 20) { return "\(bytes >> 20)MiB" }
        if bytes >= 1 << 10, bytes.isMultiple(of: 1 << 10) { return "\(bytes >> 10)KiB" }
        return "\(bytes)B"
    }

    /// 0:07, 12:34.
    static func time(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        return String(format: "%d:%02d", whole / 60, whole % 60)
    }

    static func ratio(_ ratio: Ratio?) -> String {
        guard let ratio else { return "–" }
        return String(format: "%.2f (%.2f–%.2f)", ratio.median, ratio.lowest, ratio.highest)
    }

    private static func grouped(_ value: Int) -> String {
        var digits = String(abs(value))
        var parts: [String] = []
        while digits.count > 3 {
            parts.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (value < 0 ? "-" : "") + ([digits] + parts).joined(separator: ",")
    }
}
