import Glibc
import NIOCore

/// Divides what a publisher sends into lines. Each byte is looked at once, and only what is left over at the end of a read
/// and small is copied.
struct LineSplitter {
    /// The longest line, its ending included.
    static let longest = 4 << 20
    /// A rest up to this size is copied, so that it does not keep a whole receive buffer.
    private static let copiedBelow = 4096

    /// What a read brought.
    enum Verdict {
        case lines
        /// A line that says BYE; what came before it counts.
        case bye
        case tooLong
    }

    /// The beginning of a line whose end has not come, in the pieces it came in.
    private var unfinished: [ByteBuffer] = []
    private var unfinishedCount = 0
    /// Whether the last piece is a copy, to which more can be added.
    private var lastIsCopy = false

    /// Passes all whole lines to `emit`: those that end in `buffer` as one slice of it, after the pieces they began with.
    mutating func split(_ buffer: ByteBuffer, emit: (ByteBuffer) -> Void) -> Verdict {
        var buffer = buffer
        let (whole, verdict) = scan(buffer)
        if whole > 0, let lines = buffer.readSlice(length: whole) {
            for piece in unfinished { emit(piece) }
            forget()
            emit(lines)
        }
        if case .lines = verdict, buffer.readableBytes > 0 { keep(buffer) }
        return verdict
    }

    /// The count of bytes up to the end of the last line that is one, and why it is the last.
    private func scan(_ buffer: ByteBuffer) -> (whole: Int, Verdict) {
        buffer.withUnsafeReadableBytes { bytes -> (Int, Verdict) in
            guard let base = bytes.baseAddress else { return (0, .lines) }
            var start = 0
            while let end = memchr(base + start, 0x0a, bytes.count - start) {
                let next = UnsafeRawPointer(end) - base + 1
                let earlier = start == 0 ? unfinishedCount : 0
                let length = earlier + next - start
                if length > LineSplitter.longest { return (start, .tooLong) }
                if length <= 5, isBye(earlier: earlier > 0, bytes[start..<next]) { return (start, .bye) }
                start = next
            }
            let rest = (start == 0 ? unfinishedCount : 0) + bytes.count - start
            return (start, rest > LineSplitter.longest ? .tooLong : .lines)
        }
    }

    /// Whether a short line is BYE with its ending. It may have come in pieces.
    private func isBye(earlier: Bool, _ end: Slice<UnsafeRawBufferPointer>) -> Bool {
        var line = earlier ? unfinished.flatMap { Array($0.readableBytesView) } : []
        line += end
        return line == Array("BYE\n".utf8) || line == Array("BYE\r\n".utf8)
    }

    private mutating func keep(_ rest: ByteBuffer) {
        unfinishedCount += rest.readableBytes
        guard rest.readableBytes < LineSplitter.copiedBelow else {
            unfinished.append(rest)
            lastIsCopy = false
            return
        }
        if !lastIsCopy { unfinished.append(ByteBuffer()) }
        lastIsCopy = true
        unfinished[unfinished.count - 1].writeImmutableBuffer(rest)
    }

    private mutating func forget() {
        guard unfinishedCount > 0 else { return }
        unfinished.removeAll(keepingCapacity: true)
        unfinishedCount = 0
        lastIsCopy = false
    }
}
