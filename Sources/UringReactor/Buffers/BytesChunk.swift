/// Memory that bytes are copied into, one after the other. What was appended never changes, so slices of it may be in use
/// while more is appended behind them.
final class BytesChunk {
    private let storage: BytesStorage
    private let capacity: Int
    private var used = 0

    init(capacity: Int) {
        storage = BytesStorage.make(capacity: capacity)
        self.capacity = capacity
    }

    /// Bytes that can still be appended.
    var room: Int { capacity - used }

    /// The copy of `bytes`, right behind the one before.
    func append(_ bytes: Bytes) -> Bytes {
        precondition(bytes.count <= room, "\(bytes.count) bytes appended to \(room)")
        let place = used
        used += bytes.count
        return unsafe storage.withUnsafeMutablePointerToElements { memory in
            let target = unsafe memory + place
            unsafe target.update(from: bytes.start, count: bytes.count)
            return unsafe Bytes(owner: storage, start: UnsafePointer(target), count: bytes.count)
        }
    }
}
