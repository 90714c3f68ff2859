import CLiburing
import Glibc
import SystemPackage

/// A ring of provided buffers: we add buffers, the kernel takes one for each receive that has something to put into it.
///
/// Knows addresses and numbers; whose the buffers are is for ``ProvidedBuffers``.
@safe final class BufferRing {
    private let memory: BufferRingMemory
    /// The kernel the ring was registered with. Its own, so that it is there when the ring goes.
    private let kernel: any Kernel
    private let mask: UInt16
    private var tail: UInt16 = 0

    /// - Parameter count: entries, a power of two up to 32,768.
    init(kernel: any Kernel, count: UInt16, group: UInt16) throws(Errno) {
        self.kernel = kernel
        mask = count - 1
        let bytes = Int(count) * MemoryLayout<io_uring_buf>.stride
        var pages: UnsafeMutableRawPointer?
        // At a page's beginning: the kernel wants it so.
        let status = unsafe posix_memalign(&pages, Int(getpagesize()), bytes)
        guard status == 0, let pages = unsafe pages else { throw Errno(rawValue: status) }
        unsafe memset(pages, 0, bytes)
        unsafe memory = BufferRingMemory(
            entries: pages.bindMemory(to: io_uring_buf.self, capacity: Int(count)), count: count, group: group)
        // A refusal frees the pages as well: all is set, so `deinit` runs.
        try unsafe kernel.registerBufferRing(memory)
    }

    deinit { unsafe free(memory.entries) }

    /// Lets the kernel write into `length` bytes at `start`, under this number.
    @inline(__always)
    func add(_ start: UnsafeMutablePointer<UInt8>, length: Int, number: UInt16) {
        let entry = unsafe memory.entries + Int(tail & mask)
        // Field by field: that of the first entry which is not set is the tail.
        unsafe entry.pointee.addr = UInt64(UInt(bitPattern: start))
        unsafe entry.pointee.len = UInt32(length)
        unsafe entry.pointee.bid = number
        tail &+= 1
        unsafe ring_store_release_16(memory.tail, tail)
    }
}
