/// The bytes under way in one direction of a connection: what lies in the sender's and in the receiver's socket buffer.
struct ByteStream {
    private var bytes: [UInt8] = []
    private var head = 0
    var capacity: Int
    /// How many bytes have ever come in: where the next one will be, counted from the first.
    private(set) var position: UInt64 = 0

    init(capacity: Int) {
        self.capacity = capacity
    }

    var count: Int { bytes.count - head }
    var room: Int { max(0, capacity - count) }

    mutating func append(_ source: some Sequence<UInt8>) {
        let before = bytes.count
        bytes.append(contentsOf: source)
        position += UInt64(bytes.count - before)
    }

    /// The first `length` bytes, left where they are.
    func peek(_ length: Int) -> ArraySlice<UInt8> {
        bytes[head..<head + min(length, count)]
    }

    mutating func removeFirst(_ length: Int) {
        head += length
        precondition(head <= bytes.count, "removed \(length) bytes too many")
        // Moved together now and then, so that the cost stays in proportion to the bytes.
        if head > 4096, head > bytes.count / 2 {
            bytes.removeFirst(head)
            head = 0
        }
    }

    /// Forgets all but the first `length` bytes.
    mutating func truncate(to length: Int) {
        bytes.removeLast(max(0, count - length))
    }
}
