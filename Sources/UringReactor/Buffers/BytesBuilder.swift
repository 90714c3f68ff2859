import Glibc

/// Writes bytes one after the other, into memory that grows, and becomes a ``Bytes`` without a copy.
///
/// ```swift
/// var line = BytesBuilder(capacity: 64)
/// line.append("HTTP/1.1 ")
/// line.append(decimal: 200)
/// line.append(" OK\r\n")
/// connection.send(line.freeze())
/// ```
///
/// One allocation for all that fits into `capacity`; beyond it the memory doubles, which copies. Like any value it is
/// used by one thread at a time.
@safe public struct BytesBuilder: ~Copyable {
    private var storage: BytesStorage?
    private var start: UnsafeMutablePointer<UInt8>?
    /// Bytes there is room for without another allocation.
    public private(set) var capacity = 0
    /// Bytes written.
    public private(set) var count = 0

    /// An empty builder.
    ///
    /// - Parameter capacity: bytes to make room for, so that the memory need not grow; 0 allocates nothing yet.
    public init(capacity: Int = 0) {
        precondition(capacity >= 0, "a negative capacity")
        unsafe start = nil
        if capacity > 0 { grow(to: capacity) }
    }

    /// Whether nothing was written.
    public var isEmpty: Bool { count == 0 }

    /// The byte written last.
    public var last: UInt8? { count > 0 ? unsafe start![count - 1] : nil }

    /// Makes room for `count` bytes more, in one step.
    public mutating func reserve(_ count: Int) {
        precondition(count >= 0, "a negative number of bytes")
        guard count > capacity - self.count else { return }
        grow(to: max(self.count + count, capacity * 2))
    }

    private mutating func grow(to capacity: Int) {
        let larger = BytesStorage.make(capacity: capacity)
        let target = unsafe larger.withUnsafeMutablePointerToElements { unsafe $0 }
        if let start = unsafe start { unsafe target.update(from: start, count: count) }
        storage = larger
        unsafe start = unsafe target
        self.capacity = capacity
    }

    /// Has `body` write at most `count` bytes at the end.
    ///
    /// - Parameter body: gets `count` bytes of uninitialized memory, its own only during the call, and returns how many of
    ///   them, from the first on, it has written.
    public mutating func append<Failure: Error>(
        upTo count: Int, filledBy body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) {
        reserve(count)
        guard let start = unsafe start else { return }
        let written = try unsafe body(UnsafeMutableRawBufferPointer(start: start + self.count, count: count))
        precondition((0...count).contains(written), "\(written) bytes written into \(count)")
        self.count += written
    }

    private mutating func append(_ source: UnsafeRawBufferPointer) {
        guard let from = source.baseAddress, source.count > 0 else { return }
        unsafe append(upTo: source.count) { target in
            unsafe target.baseAddress!.copyMemory(from: from, byteCount: source.count)
            return source.count
        }
    }

    /// Appends a copy of `bytes`.
    public mutating func append(_ bytes: Bytes) {
        unsafe append(UnsafeRawBufferPointer(start: bytes.start, count: bytes.count))
    }

    /// Appends one byte.
    public mutating func append(_ byte: UInt8) {
        reserve(1)
        unsafe start![count] = byte
        count += 1
    }

    /// Appends the UTF-8 of a literal.
    public mutating func append(_ literal: StaticString) { append(Bytes(literal)) }

    /// Appends the UTF-8 of `string`.
    public mutating func append(_ string: some StringProtocol) { append(contentsOf: string.utf8) }

    /// Appends bytes, in one copy if they lie in one piece.
    public mutating func append(contentsOf elements: some Sequence<UInt8>) {
        // A closure must not capture a builder, which cannot be copied; so the memory is looked for first.
        var iterator: (any IteratorProtocol<UInt8>)?
        let isDone: Void? = elements.withContiguousStorageIfAvailable { buffer in
            unsafe append(UnsafeRawBufferPointer(buffer))
        }
        if isDone == nil { iterator = elements.makeIterator() }
        while let byte = iterator?.next() { append(byte) }
    }

    /// Appends a number in decimal digits, without a string in between.
    public mutating func append(decimal number: some BinaryInteger) {
        if number < 0 { append(UInt8(ascii: "-")) }
        let first = count
        var rest = number.magnitude
        repeat {
            append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        // The digits came last first.
        var digits = unsafe UnsafeMutableBufferPointer(start: start! + first, count: count - first)
        unsafe digits.reverse()
    }

    /// What was written, without a copy. The builder is gone.
    public consuming func freeze() -> Bytes {
        guard let storage, let start = unsafe start, count > 0 else { return Bytes() }
        return unsafe Bytes(owner: storage, start: UnsafePointer(start), count: count)
    }
}
