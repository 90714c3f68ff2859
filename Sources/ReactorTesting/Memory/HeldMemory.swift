import Glibc

/// What the memory of an operation must look like while it is the kernel's: a copy beside it, byte for byte.
///
/// Of what the kernel reads, the copy is the content at submission. Of what the kernel writes, it is a pattern, and then
/// what the kernel has written over it.
@safe final class HeldMemory {
    private(set) var segments: [MemoryRange]
    /// Bytes of the segments.
    private(set) var count: Int
    private let copy: UnsafeMutableRawPointer
    /// A difference was reported: once is enough.
    var isReported = false
    /// The place in the list of the kernel, which is in no order.
    var place = 0

    init(_ segments: [MemoryRange]) {
        self.segments = segments
        count = segments.reduce(0) { $0 + $1.count }
        unsafe copy = .allocate(byteCount: max(count, 1), alignment: 16)
        refresh(from: 0, length: count)
    }

    deinit {
        unsafe copy.deallocate()
    }

    var writes: Bool { segments.contains { $0.isWritten } }

    /// The kernel has written here: that is how it must be now.
    func refresh(from start: Int, length: Int) {
        var target = unsafe copy + start
        unsafe UserMemory.forEach(segments, from: start, length: length) { pointer, count in
            unsafe memcpy(target, pointer, count)
            unsafe target += count
        }
    }

    /// Only the first `length` bytes stay the kernel's.
    func shorten(to length: Int) {
        guard length < count else { return }
        count = length
        var left = length
        segments = segments.map { segment in
            defer { left -= min(left, segment.count) }
            return MemoryRange(address: segment.address, count: min(left, segment.count), isWritten: segment.isWritten)
        }
    }

    /// The first byte that is not as it was left, or nil.
    func firstDifference() -> Int? {
        var expected = unsafe copy
        var found: Int?
        unsafe UserMemory.forEach(segments, from: 0, length: count) { pointer, count in
            guard found == nil, unsafe memcmp(expected, pointer, count) != 0 else {
                unsafe expected += count
                return
            }
            var first = 0
            while first < count, unsafe expected.load(fromByteOffset: first, as: UInt8.self)
                == pointer.load(fromByteOffset: first, as: UInt8.self) { first += 1 }
            found = unsafe (expected - copy) + first
        }
        return found
    }
}

extension MemoryRange {
    /// Whether a byte belongs to both.
    func overlaps(_ other: MemoryRange) -> Bool {
        count > 0 && other.count > 0 && address < other.address + UInt(other.count) && other.address < address + UInt(count)
    }
}
