/// Buffers of a few fixed sizes, used again when the last slice of one is gone, so that a steady state allocates nothing.
///
/// A buffer is checked out, filled, and checked in. Slices of it (``Bytes``) may live on, anywhere; it then counts as in use
/// until the last of them is gone. Nobody tells the pool when that happens: it looks at the buffers that came back with
/// living slices, a few at a time, before it allocates a new one.
///
/// ```swift
/// let pool = BufferPool([.init(size: 4096, limit: 100)])
/// guard let buffer = pool.checkOut(atLeast: 1000) else { … }     // a hundred are in use
/// let greeting = buffer.fill { memory in … }
/// pool.checkIn(buffer)
/// connection.send(greeting)
/// ```
///
/// A pool belongs to one thread; its slices may be dropped on any.
public final class BufferPool {
    /// One of the sizes of a pool.
    public struct SizeClass: Sendable, Hashable {
        /// Bytes of a buffer, at least 1.
        public var size: Int
        /// The most buffers of this size in use at once; nil for no limit. At the limit a check-out is refused.
        public var limit: Int?
        /// The most buffers of this size that are kept for later, free or with living slices. What comes back beyond that is
        /// freed with its last slice.
        public var kept: Int

        /// By default without a limit, and at most 256 buffers are kept.
        public init(size: Int, limit: Int? = nil, kept: Int = 256) {
            self.size = size
            self.limit = limit
            self.kept = kept
        }
    }

    /// What became of the buffers of one size.
    public struct Usage: Sendable, Hashable {
        /// Bytes of a buffer.
        public let size: Int
        /// Buffers that are checked out, or whose slices live. After the last owner has gone, a number other than 0 is a
        /// leak.
        public internal(set) var inUse = 0
        /// The most that were in use at once, as far as the pool knew: a slice that was dropped may have counted a little
        /// longer.
        public internal(set) var highWaterMark = 0
        /// Check-outs that found no buffer to use again: one was allocated, or, at the limit, the check-out was refused.
        public internal(set) var misses: UInt64 = 0
        /// Those of them that were refused.
        public internal(set) var refusals: UInt64 = 0

        init(size: Int) { self.size = size }
    }

    private struct Shelf {
        let sizeClass: SizeClass
        var usage: Usage
        var free: [PooledBuffer] = []
        /// Buffers whose slices lived when they came back.
        var lent: [PooledBuffer] = []
        /// Where the next look at `lent` begins.
        var lookAt = 0
    }

    private var shelves: [Shelf]

    /// A pool with no buffer yet.
    ///
    /// - Parameter classes: the sizes, in any order, no two the same.
    public init(_ classes: [SizeClass]) {
        precondition(!classes.isEmpty && classes.allSatisfy { $0.size > 0 && $0.kept >= 0 }, "a pool of \(classes)")
        shelves = classes.sorted { $0.size < $1.size }.map { Shelf(sizeClass: $0, usage: Usage(size: $0.size)) }
        precondition(Set(classes.map(\.size)).count == classes.count, "two classes of one size: \(classes)")
        for place in shelves.indices {
            shelves[place].free.reserveCapacity(shelves[place].sizeClass.kept)
            shelves[place].lent.reserveCapacity(shelves[place].sizeClass.kept)
        }
    }

    /// What became of the buffers so far, smallest size first. Looks at all that came back with living slices.
    public var usage: [Usage] {
        for place in shelves.indices {
            for _ in 0..<shelves[place].lent.count {
                if let buffer = takeLent(place) { shelves[place].free.append(buffer) }
            }
        }
        return shelves.map(\.usage)
    }

    /// Buffers that were allocated.
    var allocations: UInt64 { shelves.reduce(0) { $0 + $1.usage.misses - $1.usage.refusals } }

    /// An empty buffer of the smallest size with room for `count` bytes; nil if there is no such size, or as many buffers of
    /// it are in use as may be.
    public func checkOut(atLeast count: Int) -> PooledBuffer? {
        guard let place = shelves.firstIndex(where: { $0.sizeClass.size >= count }) else { return nil }
        return checkOut(fromShelf: place)
    }

    private func checkOut(fromShelf place: Int) -> PooledBuffer? {
        if let buffer = shelves[place].free.popLast() {
            noteUse(place)
            return buffer
        }
        // Eight looks for each new buffer: enough to find what has come back, cheap when nothing has. All of them before a
        // refusal.
        let isFull = shelves[place].sizeClass.limit.map { shelves[place].usage.inUse >= $0 } ?? false
        for _ in 0..<(isFull ? shelves[place].lent.count : min(8, shelves[place].lent.count)) {
            if let buffer = takeLent(place) {
                noteUse(place)
                return buffer
            }
        }
        shelves[place].usage.misses += 1
        guard !isFull else {
            shelves[place].usage.refusals += 1
            return nil
        }
        noteUse(place)
        return PooledBuffer(capacity: shelves[place].sizeClass.size)
    }

    private func noteUse(_ place: Int) {
        shelves[place].usage.inUse += 1
        shelves[place].usage.highWaterMark = max(shelves[place].usage.highWaterMark, shelves[place].usage.inUse)
    }

    /// The next of those lent, if its slices are gone by now. It is in use no longer.
    private func takeLent(_ place: Int) -> PooledBuffer? {
        if shelves[place].lookAt >= shelves[place].lent.count { shelves[place].lookAt = 0 }
        let position = shelves[place].lookAt
        guard isKnownUniquelyReferenced(&shelves[place].lent[position]) else {
            shelves[place].lookAt += 1
            return nil
        }
        let last = shelves[place].lent.count - 1
        if position != last { shelves[place].lent.swapAt(position, last) }
        let buffer = shelves[place].lent.removeLast()
        buffer.reset()
        shelves[place].usage.inUse -= 1
        return buffer
    }

    /// Gives a buffer back to the pool it came from; slices of it may live on.
    public func checkIn(_ buffer: consuming PooledBuffer) {
        guard let place = shelves.firstIndex(where: { $0.sizeClass.size == buffer.capacity }) else {
            preconditionFailure("a buffer of \(buffer.capacity) bytes is of another pool")
        }
        var buffer = buffer
        let kept = shelves[place].sizeClass.kept
        if isKnownUniquelyReferenced(&buffer) {
            buffer.reset()
            shelves[place].usage.inUse -= 1
            if shelves[place].free.count < kept { shelves[place].free.append(buffer) }
        } else if shelves[place].lent.count < kept {
            shelves[place].lent.append(buffer)
        } else {
            // The last slice frees it; from here on it is its holders' memory, not the pool's.
            shelves[place].usage.inUse -= 1
        }
    }
}
