/// An element of a ``Slab``: knows the generation of its place and, while vacant, the next vacant place.
protocol SlabElement {
    /// A vacant element.
    init()
    /// Counts the lives of the place; 24 bits, as in an ``OperationToken``.
    var generation: UInt32 { get set }
    /// The next vacant place, or ``Slab/end``; meaningless while the place is taken.
    var nextVacant: UInt32 { get set }
}

/// Places for elements by index, taken and given back in constant time, which never move: the kernel may hold the address
/// of what lies in one. Grows by chunks and never shrinks.
@safe final class Slab<Element: SlabElement> {
    /// The index that is no place.
    static var end: UInt32 { .max }
    private static var chunkShift: UInt32 { 8 }
    private static var chunkSize: Int { 1 << Int(chunkShift) }
    /// That of a line of the cache, so that elements can see to what shares one.
    private static var alignment: Int { 64 }

    private var chunks: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    private var chunkCount = 0
    private var chunkCapacity = 8
    private var firstVacant: UInt32 = Slab.end
    /// Elements taken.
    private(set) var count = 0
    /// The most elements that were ever taken at once.
    private(set) var highWaterMark = 0
    /// The most elements there may be.
    let limit: Int

    init(limit: Int) {
        precondition(limit > 0 && limit < Int(UInt32.max), "a slab of \(limit) elements")
        self.limit = limit
        unsafe chunks = .allocate(capacity: chunkCapacity)
    }

    deinit {
        for chunk in 0..<chunkCount {
            unsafe chunks[chunk].deinitialize(count: Slab.chunkSize)
            unsafe chunks[chunk].deallocate()
        }
        unsafe chunks.deallocate()
    }

    /// One past the highest index that was ever taken, rounded up to a chunk.
    var indices: Range<UInt32> { 0..<UInt32(chunkCount * Slab.chunkSize) }

    /// Takes a vacant place, or returns nil at the limit. The element there is as `init()` or ``vacate(_:)`` left it.
    @inline(__always)
    func take() -> UInt32? {
        guard count < limit else { return nil }
        if firstVacant == Slab.end { grow() }
        let index = firstVacant
        firstVacant = unsafe pointer(to: index).pointee.nextVacant
        count += 1
        if count > highWaterMark { highWaterMark = count }
        return index
    }

    /// Gives a place back. What the element holds must have been released; the generation moves on.
    @inline(__always)
    func vacate(_ index: UInt32) {
        let element = unsafe pointer(to: index)
        unsafe element.pointee.generation = (element.pointee.generation &+ 1) & OperationToken.generationMask
        unsafe element.pointee.nextVacant = firstVacant
        firstVacant = index
        count -= 1
    }

    @inline(never)
    private func grow() {
        if chunkCount == chunkCapacity {
            let larger = UnsafeMutablePointer<UnsafeMutablePointer<Element>>.allocate(capacity: chunkCapacity * 2)
            unsafe larger.moveInitialize(from: chunks, count: chunkCount)
            unsafe chunks.deallocate()
            unsafe chunks = unsafe larger
            chunkCapacity *= 2
        }
        let chunk = unsafe UnsafeMutableRawPointer.allocate(
            byteCount: MemoryLayout<Element>.stride * Slab.chunkSize, alignment: Slab.alignment
        ).bindMemory(to: Element.self, capacity: Slab.chunkSize)
        let base = UInt32(chunkCount * Slab.chunkSize)
        for place in 0..<Slab.chunkSize {
            unsafe (chunk + place).initialize(to: Element())
            // Linked in order, so that low places are used first and stay warm.
            unsafe chunk[place].nextVacant = place + 1 < Slab.chunkSize ? base + UInt32(place) + 1 : firstVacant
        }
        unsafe (chunks + chunkCount).initialize(to: chunk)
        chunkCount += 1
        firstVacant = base
    }

    /// Where the element lies, for as long as the slab lives.
    @inline(__always)
    func pointer(to index: UInt32) -> UnsafeMutablePointer<Element> {
        precondition(index >> Slab.chunkShift < UInt32(truncatingIfNeeded: chunkCount), "no such place")
        return unsafe chunks[Int(index >> Slab.chunkShift)] + Int(index & UInt32(truncatingIfNeeded: Slab.chunkSize - 1))
    }

    /// Whether the place exists and is in the life that `generation` counts.
    @inline(__always)
    func isCurrent(_ index: UInt32, generation: UInt32) -> Bool { unsafe find(index, generation: generation) != nil }

    /// Where the element lies, if the place exists and is in the life that `generation` counts.
    @inline(__always)
    func find(_ index: UInt32, generation: UInt32) -> UnsafeMutablePointer<Element>? {
        guard index >> Slab.chunkShift < UInt32(truncatingIfNeeded: chunkCount) else { return nil }
        let element = unsafe pointer(to: index)
        return unsafe element.pointee.generation == generation ? element : nil
    }

    subscript(index: UInt32) -> Element {
        @inline(__always)
        _read { yield unsafe pointer(to: index).pointee }
        @inline(__always)
        _modify { yield unsafe &pointer(to: index).pointee }
    }
}
