import Glibc
import SystemPackage

/// Receive buffers that the kernel picks from, one for each receive that has something: a connection that waits holds none.
///
/// A buffer that has been filled is handed out as a slice (``Bytes``) and goes back into the ring when the last slice is
/// gone, wherever that happens. Nobody tells the ring: as a rule the slice is gone when the handler returns, or when what
/// it sent has been sent, and at the end of each turn those that are still out are looked at, oldest first.
///
/// **Nobody can hold the ring** of small buffers. A kept slice keeps its buffer from being filled. When less than an eighth
/// of the buffers are left, what comes is copied out of the ring and its buffer goes back at once; what a handler keeps is
/// then its own memory. And before that, when less than a quarter are left, the queues of peers that do not read are copied
/// out (``isScarce``). So there is always a buffer to go on with, for everybody. Large buffers are not copied: where there
/// is none, a receive has one of the pool.
@safe final class ProvidedBuffers {
    /// The number by which receives name the ring.
    let group: UInt16
    /// Bytes of a buffer.
    let size: Int
    let count: Int
    private let firstNumber: UInt16
    private let ring: BufferRing
    private let buffers: UnsafeMutablePointer<ProvidedBuffer>
    /// Buffers whose slices lived when they were last looked at.
    private let lent: FIFO<UInt16>
    /// Buffers that are in the ring, those included that the kernel has filled and we have not heard of.
    private(set) var available: Int
    /// The fewest that ever were.
    private(set) var fewestAvailable: Int
    /// Below this many, what comes is copied; 0 for never.
    private let reserve: Int

    /// - Parameters:
    ///   - count: buffers, a power of two up to 16,384.
    ///   - firstNumber: the number of the first one, so that several rings can tell their buffers apart.
    ///   - copiesLast: whether the last eighth is kept going by copying.
    init(
        kernel: any Kernel, group: UInt16, count: Int, size: Int, firstNumber: UInt16, copiesLast: Bool
    ) throws(Errno) {
        self.group = group
        self.size = size
        self.count = count
        self.firstNumber = firstNumber
        reserve = copiesLast ? max(1, count / 8) : 0
        // First, so that no ring is registered that nobody would take back.
        let memory = try ProvidedMemory(bytes: count * size)
        ring = try BufferRing(kernel: kernel, count: UInt16(count), group: group)
        unsafe buffers = .allocate(capacity: count)
        for place in 0..<count {
            let buffer = unsafe ProvidedBuffer(start: memory.start + place * size, memory: memory)
            unsafe (buffers + place).initialize(to: buffer)
        }
        lent = FIFO(capacity: count)
        available = count
        fewestAvailable = count
        for place in 0..<count { add(place) }
    }

    deinit {
        unsafe buffers.deinitialize(count: count)
        unsafe buffers.deallocate()
    }

    private func add(_ place: Int) {
        unsafe ring.add(buffers[place].start, length: size, number: firstNumber + UInt16(truncatingIfNeeded: place))
    }

    /// What the kernel has written into the buffer of that number. ``finish(_:)`` must follow.
    @inline(__always)
    func take(_ number: UInt16, count: Int) -> Bytes {
        precondition(count >= 0 && count <= size, "\(count) bytes received into \(size)")
        available -= 1
        if available < fewestAvailable { fewestAvailable = available }
        let place = Int(number &- firstNumber)
        return unsafe Bytes(owner: buffers[place], start: UnsafePointer(buffers[place].start), count: count)
    }

    /// Whether what has been taken is to be copied, so that somebody can go on receiving.
    var mustCopy: Bool { available < reserve }

    /// Whether it is time to free buffers by copying what waits in queues.
    var isScarce: Bool { available < count / 4 }

    /// Buffers that are not in the ring.
    var inUse: Int { count - available }

    /// Whoever was to get what was taken has got it.
    @inline(__always)
    func finish(_ number: UInt16) {
        let place = Int(number &- firstNumber)
        if unsafe isKnownUniquelyReferenced(&buffers[place]) {
            putBack(place)
        } else {
            lent.append(UInt16(truncatingIfNeeded: place))
        }
    }

    /// Takes a buffer back that a completion brought and that nobody wants.
    func discard(_ number: UInt16) {
        _ = take(number, count: 0)
        finish(number)
    }

    private func putBack(_ place: Int) {
        available += 1
        add(place)
    }

    /// Looks at buffers that are out, oldest first, until several in a row are still in use; if buffers are scarce, at all.
    func reclaim() {
        var misses = 0
        for _ in 0..<lent.count {
            guard let place = lent.popFirst() else { return }
            if unsafe isKnownUniquelyReferenced(&buffers[Int(place)]) {
                putBack(Int(place))
                misses = 0
            } else {
                lent.append(place)
                misses += 1
                if misses == 8, !isScarce { return }
            }
        }
    }
}

/// One buffer of a ``ProvidedBuffers``: what its slices keep alive.
@safe final class ProvidedBuffer {
    fileprivate let start: UnsafeMutablePointer<UInt8>
    /// Slices may outlive the reactor, and so must what they lie in.
    private let memory: ProvidedMemory

    fileprivate init(start: UnsafeMutablePointer<UInt8>, memory: ProvidedMemory) {
        unsafe self.start = start
        self.memory = memory
    }
}

/// The memory of all buffers of a ring. Pages that were never written to take none.
@safe final class ProvidedMemory {
    fileprivate let start: UnsafeMutablePointer<UInt8>
    private let bytes: Int

    fileprivate init(bytes: Int) throws(Errno) {
        self.bytes = bytes
        let mapping = unsafe mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else { throw Errno(rawValue: errno) }
        unsafe start = mapping.bindMemory(to: UInt8.self, capacity: bytes)
    }

    deinit { unsafe munmap(start, bytes) }
}

/// The two rings of a reactor: small buffers for receives that go on and on, large ones for peers that send much.
@safe final class ReceiveRings {
    let small: ProvidedBuffers
    let large: ProvidedBuffers

    private static let firstLarge: UInt16 = 0x8000

    /// - Parameters:
    ///   - count: small buffers; of the large ones there are an eighth as many, for memory's sake.
    ///   - size: bytes of a small buffer; a large one has ``largeFactor`` times as many.
    init(kernel: any Kernel, count: Int, size: Int) throws(Errno) {
        small = try ProvidedBuffers(kernel: kernel, group: 0, count: count, size: size, firstNumber: 0, copiesLast: true)
        do {
            large = try ProvidedBuffers(
                kernel: kernel, group: 1, count: max(count / 8, 1), size: size * ReceiveRings.largeFactor,
                firstNumber: ReceiveRings.firstLarge, copiesLast: false)
        } catch {
            kernel.unregisterBufferRing(group: 0)
            throw error
        }
    }

    static var largeFactor: Int { 16 }

    /// The ring that a buffer is of.
    @inline(__always)
    func ring(of number: UInt16) -> ProvidedBuffers { number < ReceiveRings.firstLarge ? small : large }

    /// Takes the buffer of a completion back that nobody wants, if it brought one.
    func discard(_ completion: Completion) {
        if let number = completion.buffer { ring(of: number).discard(number) }
    }

    func reclaim() {
        small.reclaim()
        large.reclaim()
    }
}
