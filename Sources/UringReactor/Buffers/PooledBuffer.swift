/// Memory of a ``BufferPool``, of a fixed size. Filled from its start on; what was written is handed out as slices that
/// keep the whole buffer alive, and never written again while one of them lives.
///
/// Checked out of its pool, it belongs to one owner, who checks it in again. The slices may go anywhere.
@safe public final class PooledBuffer {
    fileprivate let start: UnsafeMutablePointer<UInt8>
    /// Bytes it holds in all.
    public let capacity: Int
    /// Bytes from its start on that slices were made of, or may have been.
    public private(set) var used = 0

    init(capacity: Int) {
        unsafe start = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    deinit { unsafe start.deallocate() }

    /// Bytes not used yet.
    public var room: Int { capacity - used }

    /// Has `body` write into what is not used yet, and returns what it wrote, without a copy.
    ///
    /// - Parameter body: gets ``room`` bytes of uninitialized memory, which are its own only during the call, and returns
    ///   how many of them, from the first on, it has written.
    public func fill<Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) -> Bytes {
        slice(try unsafe body(UnsafeMutableRawBufferPointer(start: target, count: room)))
    }

    /// Where the next byte goes: ``room`` bytes.
    var target: UnsafeMutablePointer<UInt8> { unsafe start + used }

    /// The first `count` bytes of the room, which somebody has filled.
    func slice(_ count: Int) -> Bytes {
        precondition(count >= 0 && count <= room, "\(count) bytes written into \(room)")
        let bytes = unsafe Bytes(owner: self, start: UnsafePointer(start + used), count: count)
        used += count
        return bytes
    }

    /// Starts over. No slice lives.
    func reset() { used = 0 }

    /// Makes `buffer` empty again if no slice of it lives.
    static func resetIfUnused(_ buffer: inout PooledBuffer?) {
        if buffer.map({ $0.used > 0 }) == true, isKnownUniquelyReferenced(&buffer) { buffer?.reset() }
    }
}
