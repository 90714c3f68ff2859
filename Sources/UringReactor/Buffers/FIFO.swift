/// A queue of plain values in memory of its own, which grows and never shrinks.
///
/// Values go in and come out for each operation; a collection in a property of a class would be checked each time for being
/// unique, and for overlapping access.
@safe final class FIFO<Element: BitwiseCopyable> {
    private var memory: UnsafeMutablePointer<Element>
    /// A power of two.
    private var capacity: Int
    private var head = 0
    private(set) var count = 0

    /// - Parameter capacity: how many elements there is room for without growing, at least.
    init(capacity: Int = 16) {
        self.capacity = 1 << (Int.bitWidth - (max(capacity, 2) - 1).leadingZeroBitCount)
        unsafe memory = .allocate(capacity: self.capacity)
    }

    deinit { unsafe memory.deallocate() }

    var isEmpty: Bool { count == 0 }

    @inline(__always)
    func append(_ element: Element) {
        if count == capacity { grow() }
        unsafe (memory + ((head &+ count) & (capacity &- 1))).initialize(to: element)
        count &+= 1
    }

    @inline(__always)
    func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = unsafe memory[head]
        head = (head &+ 1) & (capacity &- 1)
        count &-= 1
        return element
    }

    @inline(never)
    private func grow() {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
        for place in 0..<count { unsafe (larger + place).initialize(to: memory[(head &+ place) & (capacity &- 1)]) }
        unsafe memory.deallocate()
        unsafe memory = unsafe larger
        capacity *= 2
        head = 0
    }
}
