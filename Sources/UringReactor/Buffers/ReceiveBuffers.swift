/// Memory that receives go into. Filled from its start on, one receive after the other; what was received is handed out
/// as slices that keep the whole buffer alive, and never written again while one of them lives.
@safe final class ReceiveBuffer {
    fileprivate let start: UnsafeMutablePointer<UInt8>
    let capacity: Int
    /// Bytes that slices were made of, or may have been.
    private(set) var used = 0

    fileprivate init(capacity: Int) {
        unsafe start = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    deinit { unsafe start.deallocate() }

    /// Bytes not used yet.
    var room: Int { capacity - used }

    /// Where the next receive goes: ``room`` bytes.
    var target: UnsafeMutablePointer<UInt8> { unsafe start + used }

    /// The first `count` bytes of the room, which the kernel has filled.
    func slice(_ count: Int) -> Bytes {
        precondition(count >= 0 && count <= room, "\(count) bytes received into \(room)")
        let bytes = unsafe Bytes(owner: self, start: UnsafePointer(start + used), count: count)
        used += count
        return bytes
    }

    /// Starts over. No slice lives.
    fileprivate func reset() { used = 0 }
}

/// Buffers for single-shot receives, in three sizes, used again when the last slice of one is gone.
///
/// A slice can be dropped anywhere, so the pool does not hear of it: buffers that were still in use when they came back
/// are looked at again, a few at a time, before a new one is allocated.
final class ReceiveBuffers {
    /// The sizes, as multiples of the base size.
    enum Size: Int, CaseIterable {
        case small = 1
        case medium = 4
        case large = 16

        var larger: Size { self == .small ? .medium : .large }
        var smaller: Size { self == .large ? .medium : .small }
        fileprivate var place: Int { self == .small ? 0 : self == .medium ? 1 : 2 }
    }

    private let baseSize: Int
    /// Per size, free buffers.
    private var free: [[ReceiveBuffer]] = [[], [], []]
    /// Per size, buffers whose slices lived when they came back.
    private var lent: [[ReceiveBuffer]] = [[], [], []]
    /// Where the next look at `lent` begins, per size.
    private var lookAt: [Int] = [0, 0, 0]
    /// The most buffers of one size that are kept for later.
    private let keepLimit: Int
    private(set) var allocations: UInt64 = 0

    /// - Parameters:
    ///   - baseSize: bytes of a small buffer.
    ///   - keepLimit: the most buffers of a size that are kept for later.
    init(baseSize: Int, keepLimit: Int = 256) {
        precondition(baseSize > 0, "receive buffers of \(baseSize) bytes")
        self.baseSize = baseSize
        self.keepLimit = keepLimit
        for place in free.indices {
            free[place].reserveCapacity(keepLimit)
            lent[place].reserveCapacity(keepLimit)
        }
    }

    /// Bytes of a buffer of this size.
    func capacity(of size: Size) -> Int { baseSize * size.rawValue }

    /// An empty buffer.
    func take(_ size: Size) -> ReceiveBuffer {
        if let buffer = free[size.place].popLast() { return buffer }
        // Eight looks for each new buffer: enough to find what has come back, cheap when nothing has.
        for _ in 0..<min(8, lent[size.place].count) {
            if let buffer = takeLent(size.place) { return buffer }
        }
        allocations += 1
        return ReceiveBuffer(capacity: capacity(of: size))
    }

    private func takeLent(_ place: Int) -> ReceiveBuffer? {
        if lookAt[place] >= lent[place].count { lookAt[place] = 0 }
        let position = lookAt[place]
        guard isKnownUniquelyReferenced(&lent[place][position]) else {
            lookAt[place] += 1
            return nil
        }
        let last = lent[place].count - 1
        if position != last { lent[place].swapAt(position, last) }
        let buffer = lent[place].removeLast()
        buffer.reset()
        return buffer
    }

    /// Gives a buffer back; slices of it may live on.
    func give(_ buffer: consuming ReceiveBuffer) {
        guard let size = Size.allCases.first(where: { capacity(of: $0) == buffer.capacity }) else { return }
        var buffer = buffer
        if isKnownUniquelyReferenced(&buffer) {
            buffer.reset()
            if free[size.place].count < keepLimit { free[size.place].append(buffer) }
        } else if lent[size.place].count < keepLimit {
            lent[size.place].append(buffer)
        }
        // Beyond the limit the last slice frees it.
    }

    /// Makes `buffer` empty again if no slice of it lives.
    static func resetIfUnused(_ buffer: inout ReceiveBuffer?) {
        if buffer.map({ $0.used > 0 }) == true, isKnownUniquelyReferenced(&buffer) { buffer?.reset() }
    }
}
