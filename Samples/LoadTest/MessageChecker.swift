import Glibc

/// Checks what a subscriber receives, in place and as it comes: however a message is cut, no more of it is kept than a part
/// of its head.
@safe struct MessageChecker {
    /// What the next line was.
    enum Finding: Equatable {
        /// A message, as it was sent.
        case message(MessageHead)
        /// A message of which only the head is as it was sent.
        case damaged(MessageHead)
        /// Something else: a reply, or a message whose head cannot be read. The beginning of the line.
        case other([UInt8])
    }

    private enum State {
        /// In a head, of which so many bytes were kept.
        case head(kept: Int)
        /// Behind a head and so many bytes of its payload.
        case payload(MessageHead, Int)
        /// In a damaged line, whose end is looked for.
        case skipping(MessageHead?)
    }

    private let run: UInt64
    private var state = State.head(kept: 0)
    private var kept = InlineArray<32, UInt8>(repeating: 0)
    /// The beginning of a line that is no message.
    private var text: [UInt8] = []

    /// How much of a line that is no message is told.
    static let mostText = 120

    init(run: UInt64) { self.run = run }

    /// Whether the stream is between two lines.
    var isBetweenLines: Bool {
        if case .head(kept: 0) = state { true } else { false }
    }

    /// Takes the next line off `bytes`, from `position` on; nil when there is no end of a line any more. Then all has been
    /// looked at.
    mutating func next(in bytes: UnsafeRawBufferPointer, from position: inout Int) -> Finding? {
        while position < bytes.count {
            switch state {
            case .head(let count):
                unsafe readHead(bytes, &position, kept: count)
            case .payload(let head, let done):
                if let finding = unsafe comparePayload(of: head, done, bytes, &position) { return finding }
            case .skipping(let head):
                return unsafe skip(head, bytes, &position)
            }
        }
        return nil
    }

    @inline(__always)
    private mutating func readHead(_ bytes: UnsafeRawBufferPointer, _ position: inout Int, kept count: Int) {
        if count == 0, bytes.count - position >= MessageHead.count {
            if let head = unsafe MessageHead(reading: bytes.baseAddress! + position, run: run) {
                position += MessageHead.count
                state = .payload(head, 0)
            } else {
                state = .skipping(nil)
            }
        } else {
            unsafe keepHead(bytes, &position, kept: count)
        }
    }

    /// A head that was cut: its bytes are kept until it is whole, or its line has ended.
    private mutating func keepHead(_ bytes: UnsafeRawBufferPointer, _ position: inout Int, kept count: Int) {
        var count = count
        while position < bytes.count, count < MessageHead.count {
            guard unsafe bytes[position] != UInt8(ascii: "\n") else {
                text = (0..<count).map { kept[$0] }
                state = .skipping(nil)
                return
            }
            kept[count] = unsafe bytes[position]
            position += 1
            count += 1
        }
        state = .head(kept: count)
        guard count == MessageHead.count else { return }
        let head = unsafe withUnsafeBytes(of: &kept) { unsafe MessageHead(reading: $0.baseAddress!, run: run) }
        if let head {
            state = .payload(head, 0)
        } else {
            text = (0..<count).map { kept[$0] }
            state = .skipping(nil)
        }
    }

    @inline(__always)
    private mutating func comparePayload(
        of head: MessageHead, _ done: Int, _ bytes: UnsafeRawBufferPointer, _ position: inout Int
    ) -> Finding? {
        let count = min(head.payloadCount - done, bytes.count - position)
        guard unsafe Payload.table.matches(head, from: done, bytes.baseAddress! + position, count: count) else {
            state = .skipping(head)
            return nil
        }
        position += count
        guard position < bytes.count else {
            state = .payload(head, done + count)
            return nil
        }
        guard unsafe bytes[position] == UInt8(ascii: "\n") else {
            state = .skipping(head)
            return nil
        }
        position += 1
        state = .head(kept: 0)
        return .message(head)
    }

    private mutating func skip(
        _ head: MessageHead?, _ bytes: UnsafeRawBufferPointer, _ position: inout Int
    ) -> Finding? {
        let start = unsafe bytes.baseAddress! + position
        let found = unsafe memchr(start, Int32(UInt8(ascii: "\n")), bytes.count - position)
        let end = unsafe found.map { unsafe start.distance(to: UnsafeRawPointer($0)) } ?? bytes.count - position
        let more = max(0, min(end, MessageChecker.mostText - text.count))
        if head == nil { unsafe text.append(contentsOf: bytes[position..<position + more]) }
        position += end
        guard unsafe found != nil else { return nil }
        position += 1
        state = .head(kept: 0)
        defer { text = [] }
        return head.map { .damaged($0) } ?? .other(text)
    }
}
