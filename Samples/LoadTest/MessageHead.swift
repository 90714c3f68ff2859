/// What a test message says of itself, in its first 32 bytes: which it is, when it was to be sent, how long it is, and a
/// checksum of all that.
///
/// Four words of 48 bits, each as eight characters from `0` to `o` with six bits in each, the lowest first: no byte of it is
/// an end of a line, no message looks like a command or a reply, and a word is read and written without a loop.
///
///     sequence    | time in ns  | publisher, size | checksum
///     8 characters| 8           | 4 and 4         | 8
///
/// What follows is the payload (``Payload``), then a line feed.
struct MessageHead: Equatable {
    /// The number of the message among those of its publisher, from 0.
    var sequence: UInt64
    /// Nanoseconds since the publishers began: when it was to be sent, or, with a window, when it was.
    var time: UInt64
    var publisher: UInt32
    /// Bytes of the message with its line feed.
    var size: UInt32

    /// Bytes of a head.
    static let count = 32
    /// A head, no payload, and a line feed.
    static let smallestSize = count + 1
    static let largestSize = 1 << 24 - 1
    static let mostPublishers = 1 << 24 - 1
    /// Three days: what 48 bits hold.
    static let longestTime: UInt64 = 1 << 48 - 1

    var payloadCount: Int { Int(size) - MessageHead.smallestSize }

    /// The head at `start`, where 32 bytes can be read, or nil if its checksum is wrong.
    ///
    /// - Parameter run: what the checksum was made with, so that messages of another run are not taken for ours.
    @inline(__always)
    init?(reading start: UnsafeRawPointer, run: UInt64) {
        let words = unsafe (
            MessageHead.unpack(start.loadUnaligned(as: UInt64.self)),
            MessageHead.unpack(start.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
            MessageHead.unpack(start.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
            MessageHead.unpack(start.loadUnaligned(fromByteOffset: 24, as: UInt64.self)))
        guard let sequence = words.0, let time = words.1, let third = words.2, let checksum = words.3,
            checksum == MessageHead.checksum(sequence, time, third, run)
        else { return nil }
        let size = UInt32(third >> 24)
        guard size >= MessageHead.smallestSize else { return nil }
        self.init(sequence: sequence, time: time, publisher: UInt32(third & 0xff_ffff), size: size)
    }

    init(sequence: UInt64, time: UInt64, publisher: UInt32, size: UInt32) {
        self.sequence = sequence
        self.time = time
        self.publisher = publisher
        self.size = size
    }

    /// Writes the head to `start`, where there is room for 32 bytes.
    func write(to start: UnsafeMutableRawPointer, run: UInt64) {
        let third = UInt64(publisher) | UInt64(size) << 24
        let checksum = MessageHead.checksum(sequence, time, third, run)
        unsafe start.storeBytes(of: MessageHead.pack(sequence), as: UInt64.self)
        unsafe start.storeBytes(of: MessageHead.pack(time), toByteOffset: 8, as: UInt64.self)
        unsafe start.storeBytes(of: MessageHead.pack(third), toByteOffset: 16, as: UInt64.self)
        unsafe start.storeBytes(of: MessageHead.pack(checksum), toByteOffset: 24, as: UInt64.self)
    }

    // MARK: - Words

    private static let zeros: UInt64 = 0x3030_3030_3030_3030

    /// 48 bits as eight characters; the byte that comes first is the lowest.
    @inline(__always)
    static func pack(_ bits: UInt64) -> UInt64 {
        var word = (bits & 0xff_ffff) | (bits & 0xffff_ff00_0000) << 8
        word = (word & 0x0000_0fff_0000_0fff) | (word & 0x00ff_f000_00ff_f000) << 4
        word = (word & 0x003f_003f_003f_003f) | (word & 0x0fc0_0fc0_0fc0_0fc0) << 2
        return (word &+ zeros).littleEndian
    }

    /// The 48 bits of eight characters, or nil if one of them is none of ours.
    @inline(__always)
    static func unpack(_ characters: UInt64) -> UInt64? {
        // The lowest byte that is too small has nothing borrowed from it, so it shows in its own upper bits.
        var word = UInt64(littleEndian: characters) &- zeros
        guard word & 0xc0c0_c0c0_c0c0_c0c0 == 0 else { return nil }
        word = (word & 0x003f_003f_003f_003f) | (word & 0x3f00_3f00_3f00_3f00) >> 2
        word = (word & 0x0000_0fff_0000_0fff) | (word & 0x0fff_0000_0fff_0000) >> 4
        return (word & 0xff_ffff) | (word & 0x00ff_ffff_0000_0000) >> 8
    }

    /// 48 bits of SplitMix64's mixture, in which each bit of each word changes about half of them.
    @inline(__always)
    private static func checksum(_ first: UInt64, _ second: UInt64, _ third: UInt64, _ run: UInt64) -> UInt64 {
        var sum = mix(first ^ run)
        sum = mix(sum ^ second)
        return mix(sum ^ third) >> 16
    }

    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
