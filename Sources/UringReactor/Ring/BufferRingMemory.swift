public import CLiburing

/// Where a ring of provided buffers lies: the layout of io_uring_register_buf_ring(3), shared with the kernel.
///
/// We append entries and advance the tail; the kernel takes them in that order, and keeps its head to itself. An entry
/// says where a buffer is, how long it is, and its number, which completions bring back.
@unsafe public struct BufferRingMemory {
    /// The entries, at the beginning of a page. `resv` of the first one is the tail (``tail``).
    public let entries: UnsafeMutablePointer<io_uring_buf>
    /// How many there are: a power of two, at most 32,768.
    public let count: UInt16
    /// The number by which receives name the ring.
    public let group: UInt16

    /// Memory that stays valid until the ring is unregistered, or the kernel closed.
    public init(entries: UnsafeMutablePointer<io_uring_buf>, count: UInt16, group: UInt16) {
        unsafe self.entries = entries
        unsafe self.count = count
        unsafe self.group = group
    }

    /// Written by us: one past the last entry. Runs freely from 0 to 2¹⁶ − 1 and wraps.
    public var tail: UnsafeMutablePointer<UInt16> {
        let overlaid = unsafe UnsafeMutableRawPointer(entries) + MemoryLayout<io_uring_buf>.offset(of: \.resv)!
        return unsafe overlaid.assumingMemoryBound(to: UInt16.self)
    }
}
