import Glibc
import PubSub
import UringReactor

/// Splitting what has come into lines, of 128 bytes: whole, or cut anywhere.
enum LineTasks {
    private static let lines = 512
    private static let repetitions = 500

    static func group() -> TaskGroup {
        let line = String(repeating: "x", count: 127) + "\n"
        let whole = Bytes(String(repeating: line, count: lines))
        let count = lines * repetitions
        return TaskGroup(
            title: "Lines of 128 B (×: memchr)",
            tasks: [
                MeasuredTask(name: "lines: memchr", count: count) {
                    for _ in 0..<repetitions { precondition(countLineFeeds(in: whole) == lines) }
                },
                MeasuredTask(name: "lines: reader, 64 KiB at a time", count: count) {
                    for _ in 0..<repetitions { try read([whole]) }
                },
                // Primes, so that lines are cut at every place.
                MeasuredTask(name: "lines: reader, 4,093 B at a time", count: count) {
                    for _ in 0..<repetitions { try read(cut(whole, 4093)) }
                },
                MeasuredTask(name: "lines: reader, 61 B at a time", count: count) {
                    for _ in 0..<repetitions { try read(cut(whole, 61)) }
                },
            ])
    }

    private static func countLineFeeds(in bytes: Bytes) -> Int {
        unsafe bytes.withUnsafeBytes { memory in
            var (found, place) = (0, 0)
            while place < memory.count,
                let next = unsafe memchr(memory.baseAddress! + place, 10, memory.count - place) {
                place = unsafe UnsafeRawPointer(next) - memory.baseAddress! + 1
                found += 1
            }
            return found
        }
    }

    private static func cut(_ bytes: Bytes, _ size: Int) -> [Bytes] {
        stride(from: 0, to: bytes.count, by: size).map { bytes[$0..<min($0 + size, bytes.count)] }
    }

    private static func read(_ pieces: [Bytes]) throws {
        var reader = LineReader(limit: 1024)
        var found = 0
        for piece in pieces {
            var rest = piece
            while let line = try reader.next(from: &rest, holding: true) {
                consume(line)
                found += 1
            }
        }
        precondition(found == lines)
    }
}
