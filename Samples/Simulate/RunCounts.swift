import UringReactor

/// How much happened in a run, or in many.
struct RunCounts: CustomStringConvertible {
    private(set) var connections: UInt64 = 0
    private(set) var operations: UInt64 = 0
    private(set) var enters: UInt64 = 0
    /// What went wrong on purpose, and how often.
    private(set) var faults: [String: UInt64] = [:]

    init() {}

    init(_ statistics: Statistics, faults: [String: UInt64]) {
        connections = statistics.connectionsOpened
        operations = statistics.submitted
        enters = statistics.enters
        self.faults = faults
    }

    /// One line, for ``add(_:)``.
    var line: String {
        let faults = faults.sorted { $0.key < $1.key }.map { ";\($0.key)=\($0.value)" }.joined()
        return "\(connections) \(operations) \(enters)\(faults)"
    }

    /// Adds those of another run, as its ``line`` says. False if it says nothing of the kind.
    @discardableResult
    mutating func add(_ line: String) -> Bool {
        let parts = line.split(separator: ";")
        let numbers = parts.first?.split(separator: " ").compactMap { UInt64($0) } ?? []
        guard numbers.count == 3 else { return false }
        connections += numbers[0]
        operations += numbers[1]
        enters += numbers[2]
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=")
            guard pair.count == 2, let count = UInt64(pair[1]) else { return false }
            faults[String(pair[0]), default: 0] += count
        }
        return true
    }

    var description: String {
        let all = faults.values.reduce(0, +)
        let text = "\(connections) connections, \(operations) operations, \(enters) enters, \(all) faults"
        guard all > 0 else { return text }
        let kinds = faults.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) \($0.value)" }
        return "\(text):\n\(RunCounts.wrapped(kinds))"
    }

    /// Lines of no more than a terminal's width.
    private static func wrapped(_ words: [String]) -> String {
        var lines: [String] = []
        for (place, word) in words.enumerated() {
            let word = place + 1 < words.count ? word + "," : word
            if let last = lines.last, last.count + word.count < 78 {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append("  \(word)")
            }
        }
        return lines.joined(separator: "\n")
    }
}
