import Glibc

/// What follows the head of a test message: a piece of a table that all know, which begins elsewhere for each message. So it
/// is compared rather than summed up: faster, and no changed byte escapes. Also wherever a message is cut, nothing of it has
/// to be kept.
@safe final class Payload: @unchecked Sendable { // Never written to after it was made.
    /// The one table.
    static let table = Payload()

    /// A prime, so that a server that exchanges payloads is found out.
    private static let count = 16_381
    /// The table twice, so that a piece of up to its size lies in one, wherever it begins.
    private let start: UnsafeMutablePointer<UInt8>

    /// Printable characters, for those who look at them with nc; none of them ends a line.
    private init() {
        unsafe start = .allocate(capacity: 2 * Payload.count)
        for place in 0..<Payload.count {
            let character = UInt8(0x20 + MessageHead.mix(UInt64(place)) % 95)
            unsafe start[place] = character
            unsafe start[Payload.count + place] = character
        }
    }

    /// Where the payload of a message begins in the table.
    @inline(__always)
    private func offset(of head: MessageHead) -> Int {
        Int((head.sequence &* 251 &+ UInt64(head.publisher) &* 31) % UInt64(Payload.count))
    }

    /// Writes the whole payload of a message.
    func write(_ head: MessageHead, to target: UnsafeMutableRawPointer) {
        var place = 0
        var from = offset(of: head)
        while place < head.payloadCount {
            let count = min(head.payloadCount - place, Payload.count)
            unsafe (target + place).copyMemory(from: start + from, byteCount: count)
            place += count
            from = (from + count) % Payload.count
        }
    }

    /// Whether `count` bytes at `bytes` are the payload of a message from its byte `position` on.
    @inline(__always)
    func matches(_ head: MessageHead, from position: Int, _ bytes: UnsafeRawPointer, count: Int) -> Bool {
        var done = 0
        while done < count {
            let from = (offset(of: head) + position + done) % Payload.count
            let piece = min(count - done, Payload.count)
            guard unsafe memcmp(start + from, bytes + done, piece) == 0 else { return false }
            done += piece
        }
        return true
    }
}
