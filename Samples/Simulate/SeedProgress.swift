import Glibc
import SystemPackage

/// How far it is, on standard error: one line that is written over on a terminal, otherwise a line now and then.
final class SeedProgress {
    private let total: UInt64
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let start = ContinuousClock.now
    private var last: ContinuousClock.Instant
    private var isShown = false

    init(total: UInt64) {
        self.total = total
        last = start
    }

    func show(done: UInt64, failed: Int) {
        let now = ContinuousClock.now
        guard now - last > (isTerminal ? .milliseconds(200) : .seconds(10)) else { return }
        last = now
        let elapsed = (now - start) / .seconds(1)
        let rate = Double(done) / elapsed
        let left = rate > 0 ? Int(Double(total - done) / rate) : 0
        let failures = failed > 0 ? ", \(failed) failed" : ""
        let text = "\(done) of \(total) seeds, \(Int(rate)) seeds/s, about \(left) s left\(failures)"
        guard isTerminal else { return printError(text) }
        let width = 24
        let full = Int(done * UInt64(width) / total)
        let bar = String(repeating: "#", count: full) + String(repeating: ".", count: width - full)
        write("\r\u{1b}[K[\(bar)] \(text)")
        isShown = true
    }

    /// Makes room for other lines.
    func clear() {
        if isShown { write("\r\u{1b}[K") }
        isShown = false
    }

    private func write(_ text: String) {
        // Nobody to tell if standard error is closed.
        _ = try? FileDescriptor.standardError.writeAll(text.utf8)
    }
}
