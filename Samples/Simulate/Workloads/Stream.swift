import UringReactor

/// What goes one way over one connection: numbered messages, each byte of which says where it belongs.
///
/// A message is a header of text (stream, number, length) and as many bytes, none of them a carriage return.
final class Stream {
    static let headerLength = 24

    let number: Int
    /// Messages that were taken to be sent, in order.
    private(set) var accepted: [Int] = []
    /// Messages that were taken first, and failed or were dropped later.
    private var failed: Set<Int> = []
    private var next = 0

    init(number: Int) {
        self.number = number
    }

    /// The next message.
    func make(length: Int) -> (number: Int, bytes: [UInt8]) {
        let message = next
        next += 1
        var bytes = Stream.hex(number) + Stream.hex(message) + Stream.hex(length)
        bytes.reserveCapacity(Stream.headerLength + length)
        for place in 0..<length { bytes.append(Stream.byte(number, message, place)) }
        return (message, bytes)
    }

    func accept(_ message: Int) { accepted.append(message) }
    /// A callback has said that it was not sent, at least not all of it.
    func fail(_ message: Int) { failed.insert(message) }

    /// What is wrong with `received`, if that is all that came, or nil.
    ///
    /// - Parameters:
    ///   - isWhole: both ended politely, so nothing may be missing.
    ///   - mayDropLater: messages that had been taken may have been dropped.
    func fault(of received: [Int], isWhole: Bool, mayDropLater: Bool) -> String? {
        var rest = received[...]
        for message in accepted {
            if rest.first == message {
                rest.removeFirst()
            } else if mayDropLater || failed.contains(message) {
                continue
            } else if !rest.isEmpty {
                return "message \(message) of stream \(number) is missing before \(rest.first ?? -1)"
            } else if isWhole {
                return "message \(message) of stream \(number) is missing at the end"
            }
        }
        return rest.isEmpty ? nil : "message \(rest.first ?? -1) of stream \(number) came, but was not taken to be sent"
    }

    static func byte(_ stream: Int, _ message: Int, _ place: Int) -> UInt8 {
        let mixed = UInt64(stream &* 31 &+ message &* 7 &+ place) &* 0x9e37_79b9_7f4a_7c15
        let byte = UInt8(truncatingIfNeeded: mixed >> 40)
        return byte == 13 ? 14 : byte
    }

    private static func hex(_ number: Int) -> [UInt8] {
        let digits = String(number, radix: 16)
        return Array((String(repeating: "0", count: 8 - digits.count) + digits).utf8)
    }
}

/// Checks what arrives at one end, byte by byte.
struct Arrivals {
    /// The stream that the first header named.
    private(set) var stream: Int?
    /// Messages that have come whole.
    private(set) var messages: [Int] = []
    private var header: [UInt8] = []
    private var message = 0
    private var length = 0
    private var place = 0

    /// Whether it ends in the middle of a message.
    var isCut: Bool { !header.isEmpty }

    /// Takes what came next. Returns what is wrong with it, or nil.
    mutating func take(_ bytes: some Sequence<UInt8>) -> String? {
        for byte in bytes {
            if header.count < Stream.headerLength {
                header.append(byte)
                guard header.count == Stream.headerLength else { continue }
                if let fault = readHeader() { return fault }
            } else {
                let stream = stream ?? -1
                guard byte == Stream.byte(stream, message, place) else {
                    return "byte \(place) of message \(message) of stream \(stream) is wrong"
                }
                place += 1
            }
            if place == length {
                messages.append(message)
                header = []
            }
        }
        return nil
    }

    private mutating func readHeader() -> String? {
        func field(_ number: Int) -> Int? {
            Int(String(decoding: header[(number * 8)..<(number * 8 + 8)], as: UTF8.self), radix: 16)
        }
        guard let name = field(0), let message = field(1), let length = field(2) else {
            return "no header after message \(messages.last ?? -1) of stream \(stream ?? -1): \(header)"
        }
        if let stream, stream != name { return "a message of stream \(name) within stream \(stream)" }
        if let last = messages.last, message <= last { return "message \(message) of stream \(name) after \(last)" }
        (stream, self.message, self.length, place) = (name, message, length, 0)
        return nil
    }
}
