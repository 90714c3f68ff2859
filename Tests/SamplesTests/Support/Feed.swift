import Glibc
import UringReactor

/// All that a subscriber is to get, made ahead: the `OK`, then the messages of one channel, then perhaps a last word.
///
/// No two messages are alike: each begins with its channel, its number and its length, as far as it is long enough, and goes
/// on with a piece of a table that begins elsewhere for each. So whoever compares what came with the feed finds every byte
/// that is lost, doubled, changed or at another place.
final class Feed: Sendable {
    static let answer: Bytes = "OK\r\n"
    static let bye: Bytes = "BYE\r\n"

    let bytes: Bytes
    /// What the server says last, before it ends the connection; empty if it does not.
    let farewell: Bytes
    /// Where the answer ends, and then each message.
    private let ends: [Int]

    /// - Parameter lengths: of each message, its line feed included.
    init(lengths: [Int], channel: Int = 0, farewell: Bytes = Bytes()) {
        var ends = [Feed.answer.count]
        for length in lengths { ends.append(ends[ends.count - 1] + length) }
        self.ends = ends
        self.farewell = farewell
        bytes = unsafe Bytes(capacity: ends[ends.count - 1] + farewell.count) { memory in
            unsafe Feed.copy(Feed.answer, to: memory, at: 0)
            for number in 0..<lengths.count {
                let message = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[ends[number]..<ends[number + 1]])
                unsafe Feed.fill(message, channel: channel, number: number)
            }
            unsafe Feed.copy(farewell, to: memory, at: ends[lengths.count])
            return memory.count
        }
    }

    convenience init(count: Int, length: Int, channel: Int = 0, farewell: Bytes = Bytes()) {
        self.init(lengths: [Int](repeating: length, count: count), channel: channel, farewell: farewell)
    }

    /// The number of messages.
    var count: Int { ends.count - 1 }

    /// How much a subscriber has got that has the first `count` messages.
    func end(of count: Int) -> Int { ends[count] }

    /// One message, its line feed included, sharing the feed's memory.
    subscript(number: Int) -> Bytes { self[number..<number + 1] }

    /// Several messages as one piece.
    subscript(numbers: Range<Int>) -> Bytes { bytes[ends[numbers.lowerBound]..<ends[numbers.upperBound]] }

    /// How many messages a subscriber has got whole that has got so many bytes, if it is within none.
    func messages(in position: Int) -> Int? {
        var range = 0..<ends.count
        while !range.isEmpty {
            let middle = (range.lowerBound + range.upperBound) / 2
            if ends[middle] == position { return middle }
            range = ends[middle] < position ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return nil
    }

    private static func fill(_ message: UnsafeMutableRawBufferPointer, channel: Int, number: Int) {
        var place = 0
        let header = Bytes("\(channel).\(number).\(message.count) ")
        if header.count < message.count {
            unsafe copy(header, to: message, at: 0)
            place = header.count
        }
        var from = (number * 251 + channel * 31) % table.count
        while place < message.count - 1 {
            let piece = table[from..<min(from + message.count - 1 - place, table.count)]
            unsafe copy(piece, to: message, at: place)
            place += piece.count
            from = 0
        }
        unsafe message[message.count - 1] = UInt8(ascii: "\n")
    }

    private static func copy(_ bytes: Bytes, to memory: UnsafeMutableRawBufferPointer, at place: Int) {
        unsafe bytes.withUnsafeBytes {
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[place..<place + $0.count]).copyMemory(from: $0)
        }
    }

    /// Neither ends of lines, nor capitals, of which commands and replies are made. Its size is a prime.
    private static let table: Bytes = {
        var generator = SeededGenerator(seed: 20)
        return Bytes(
            (0..<16_381).map { _ in
                let byte = UInt8.random(in: 0...255, using: &generator)
                return byte == 0x0a || byte == 0x0d || (0x41...0x5a).contains(byte) ? byte ^ 0x80 : byte
            })
    }()
}

/// Compares what comes with a feed, byte by byte.
struct FeedCheck {
    let feed: Feed
    /// Bytes that have come, and were right.
    private(set) var position = 0

    init(_ feed: Feed) { self.feed = feed }

    var isComplete: Bool { position == feed.bytes.count }

    mutating func check(_ bytes: Bytes) throws {
        guard position + bytes.count <= feed.bytes.count else { throw Mismatch(position: position, what: "too much") }
        guard bytes == feed.bytes[position..<position + bytes.count] else {
            throw Mismatch(position: position, what: "not what was sent")
        }
        position += bytes.count
    }
}

/// Something came that should not have, at or behind a position of its feed.
struct Mismatch: Error {
    let position: Int
    let what: String
}

/// Numbers by a seed: SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
