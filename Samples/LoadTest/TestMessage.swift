import UringReactor

/// A message of the load test: a head, a payload, a line feed.
enum TestMessage {
    /// Appends the message that `head` describes.
    static func append(_ head: MessageHead, run: UInt64, to bytes: inout BytesBuilder) {
        let size = Int(head.size)
        unsafe bytes.append(upTo: size) { memory in
            let start = memory.baseAddress!
            unsafe head.write(to: start, run: run)
            unsafe Payload.table.write(head, to: start + MessageHead.count)
            unsafe memory[size - 1] = UInt8(ascii: "\n")
            return size
        }
    }
}
