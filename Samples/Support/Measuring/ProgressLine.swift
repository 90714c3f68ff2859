import Glibc
import SystemPackage

/// How far a run is, on standard error: one line that is written over on a terminal, a line a second elsewhere.
final class ProgressLine {
    private let isTerminal: Bool
    private let write: (String) -> Void
    private var isShown = false
    private var nextLine: UInt64 = 0

    private static let second: UInt64 = 1_000_000_000
    /// What a terminal is written at most so often, in nanoseconds.
    private static let shortest: UInt64 = 190_000_000

    convenience init() {
        self.init(isTerminal: isatty(STDERR_FILENO) == 1) {
            // Nobody to tell if standard error is closed.
            _ = try? FileDescriptor.standardError.writeAll($0.utf8)
        }
    }

    init(isTerminal: Bool, write: @escaping (String) -> Void) {
        self.isTerminal = isTerminal
        self.write = write
    }

    /// Shows how far it is, if it is time.
    ///
    /// - Parameters:
    ///   - share: what is done, from 0 to 1.
    ///   - time: nanoseconds, of any clock.
    ///   - text: what to say; not asked for if nothing is shown.
    func show(_ share: Double, at time: UInt64, _ text: @autoclosure () -> String) {
        guard time >= nextLine else { return }
        nextLine = time + (isTerminal ? ProgressLine.shortest : ProgressLine.second)
        guard isTerminal else {
            return write("\(Amount.fixed(min(max(share, 0), 1) * 100, 0)) %  \(text())\n")
        }
        write("\r\u{1b}[K\(ProgressLine.bar(share)) \(text())")
        isShown = true
    }

    static func bar(_ share: Double) -> String {
        let width = 24
        let full = Int((min(max(share, 0), 1) * Double(width)).rounded(.down))
        return "[" + String(repeating: "#", count: full) + String(repeating: ".", count: width - full) + "]"
    }

    /// Makes room for other lines.
    func clear() {
        if isShown { write("\r\u{1b}[K") }
        isShown = false
    }
}
