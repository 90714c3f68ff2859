import Foundation
import Glibc

/// Says on standard error what runs, how much of it is done, and how long the rest will take.
///
/// On a terminal it is one line that changes; otherwise a line for each measurement.
struct Progress {
    private let steps: Int
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let began = ContinuousClock.now
    private var done = 0
    private var current = ""

    init(steps: Int) { self.steps = steps }

    mutating func begin(_ what: String) {
        current = what
        if isTerminal { write("\r\u{1b}[K\(prefix)\(what)") }
    }

    mutating func end(_ result: String) {
        if !isTerminal { write("\(prefix)\(current): \(result)\n") }
        done += 1
    }

    mutating func fail(_ reason: String) {
        write("\(isTerminal ? "\r\u{1b}[K" : "")\(prefix)FAILED: \(reason)\n")
        done += 1
    }

    func finish() {
        if isTerminal { write("\r\u{1b}[K") }
    }

    private var prefix: String { "[\(done + 1)/\(steps)\(timeLeft)] " }

    private var timeLeft: String {
        guard done > 0 else { return "" }
        let spent = (ContinuousClock.now - began) / .seconds(1)
        return ", \(Format.time(spent / Double(done) * Double(steps - done))) left"
    }

    private func write(_ text: String) {
        FileHandle.standardError.write(Data(text.utf8))
    }
}
