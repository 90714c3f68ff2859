import CReactorSupport
import Glibc

/// An immutable slice of memory that is shared by counting references, and that the kernel may read from.
///
/// A `Bytes` is three words: where its bytes start, how many there are, and the object that keeps them alive. Copying
/// one copies no byte; a slice shares the memory of what it was cut from and counts its positions from zero. One publish
/// to a thousand subscribers is one `Bytes`, held a thousand times.
///
/// **Ownership.** Whoever holds a `Bytes` holds its memory. The library holds those it was given to send until the
/// kernel has let go of them. A small slice keeps all the memory alive that it was cut from: ``copied()`` is the way
/// out for the few that are kept long.
///
/// **Threads.** The bytes never change after they were made, so a `Bytes` may go to any thread.
@safe public struct Bytes: Sendable {
    /// Keeps the memory alive; nil for static memory and for no bytes at all, which need no counting.
    ///
    /// Never touched but to retain and release, which any thread may do.
    nonisolated(unsafe) let owner: AnyObject?
    /// The first byte. Never nil, so that it may go into an iovec as it is; not to be read when `count` is 0.
    nonisolated(unsafe) let start: UnsafePointer<UInt8>
    /// The number of bytes.
    public let count: Int

    /// The bytes at `start`, which stay as they are for as long as `owner` lives.
    init(owner: AnyObject?, start: UnsafePointer<UInt8>, count: Int) {
        unsafe self.owner = owner
        unsafe self.start = start
        self.count = count
    }

    /// No bytes.
    public init() {
        unsafe self.init(owner: nil, start: Bytes.nowhere, count: 0)
    }

    /// A copy of the elements of `elements`, in memory of their own: one allocation, one copy.
    public init(_ elements: some Sequence<UInt8>) {
        let contiguous: Bytes? = elements.withContiguousStorageIfAvailable { buffer in
            unsafe Bytes(copying: UnsafeRawBufferPointer(buffer))
        }
        if let contiguous {
            self = contiguous
        } else {
            self = unsafe Array(elements).withUnsafeBytes { unsafe Bytes(copying: $0) }
        }
    }

    /// The UTF-8 of `string`, copied.
    public init(_ string: some StringProtocol) {
        self.init(string.utf8)
    }

    /// The UTF-8 of a literal, without a copy and without an allocation: static memory lives as long as the program.
    public init(_ literal: StaticString) {
        if literal.hasPointerRepresentation {
            unsafe self.init(owner: nil, start: literal.utf8Start, count: literal.utf8CodeUnitCount)
        } else {
            self.init(String(literal.unicodeScalar))
        }
    }

    /// `memory` itself, without a copy. It must stay as it is for as long as the program runs: a constant table, a mapping
    /// that is never undone.
    @unsafe public init(staticMemory memory: UnsafeRawBufferPointer) {
        guard let start = memory.baseAddress, memory.count > 0 else {
            self.init()
            return
        }
        unsafe self.init(owner: nil, start: start.assumingMemoryBound(to: UInt8.self), count: memory.count)
    }

    /// A copy of `source`, in memory of its own.
    public init(copying source: UnsafeRawBufferPointer) {
        guard let from = source.baseAddress, source.count > 0 else {
            self.init()
            return
        }
        let storage = BytesStorage.make(capacity: source.count)
        let start = unsafe storage.withUnsafeMutablePointerToElements { unsafe $0 }
        unsafe UnsafeMutableRawPointer(start).copyMemory(from: from, byteCount: source.count)
        unsafe self.init(owner: storage, start: UnsafePointer(start), count: source.count)
    }

    /// `count` bytes that `fill` writes: one allocation, no copy.
    ///
    /// - Parameter fill: Gets uninitialized memory of `capacity` bytes, which is its own only during the call, and
    ///   returns how many of them, from the first on, it has written.
    public init<Failure: Error>(
        capacity: Int,
        filledBy fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) {
        precondition(capacity >= 0, "a negative capacity")
        guard capacity > 0 else {
            self.init()
            return
        }
        let storage = BytesStorage.make(capacity: capacity)
        let start = unsafe storage.withUnsafeMutablePointerToElements { unsafe $0 }
        let written = try unsafe fill(UnsafeMutableRawBufferPointer(start: start, count: capacity))
        precondition((0...capacity).contains(written), "\(written) bytes written into \(capacity)")
        unsafe self.init(owner: storage, start: UnsafePointer(start), count: written)
    }

    /// Whether there are no bytes.
    public var isEmpty: Bool { count == 0 }

    /// The byte at `position`, counted from 0; a position outside traps.
    public subscript(position: Int) -> UInt8 {
        precondition(position >= 0 && position < count, "byte \(position) of \(count)")
        return unsafe start[position]
    }

    /// The slice of `range`, sharing this memory; its own positions count from 0. A range outside traps.
    public subscript(range: some RangeExpression<Int>) -> Bytes {
        let range = range.relative(to: Indices(count: count))
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "bytes \(range) of \(count)")
        return unsafe Bytes(owner: owner, start: start + range.lowerBound, count: range.count)
    }

    /// The first `length` bytes, or all of them if there are fewer.
    public func prefix(_ length: Int) -> Bytes { self[0..<Swift.min(Swift.max(length, 0), count)] }

    /// All but the first `length` bytes; none if there are fewer.
    public func dropFirst(_ length: Int = 1) -> Bytes { self[Swift.min(Swift.max(length, 0), count)..<count] }

    /// The last `length` bytes, or all of them if there are fewer.
    public func suffix(_ length: Int) -> Bytes { self[(count - Swift.min(Swift.max(length, 0), count))..<count] }

    /// All but the last `length` bytes; none if there are fewer.
    public func dropLast(_ length: Int = 1) -> Bytes { self[0..<(count - Swift.min(Swift.max(length, 0), count))] }

    /// Whether the bytes begin with those of `other`.
    public func starts(with other: Bytes) -> Bool { count >= other.count && prefix(other.count) == other }

    /// The position of the first `byte` at or after `position`, or nil: memchr(3), many bytes a cycle.
    public func firstIndex(of byte: UInt8, from position: Int = 0) -> Int? {
        precondition(position >= 0 && position <= count, "a search from byte \(position) of \(count)")
        guard position < count else { return nil }
        guard let found = unsafe memchr(start + position, Int32(byte), count - position) else { return nil }
        return unsafe UnsafeRawPointer(start).distance(to: UnsafeRawPointer(found))
    }

    /// The position of the last `byte` before `end` (by default the end of the bytes), or nil.
    public func lastIndex(of byte: UInt8, before end: Int? = nil) -> Int? {
        let end = end ?? count
        precondition(end >= 0 && end <= count, "a search back from byte \(end) of \(count)")
        guard end > 0, let found = unsafe creactor_memrchr(start, byte, end) else { return nil }
        return unsafe UnsafeRawPointer(start).distance(to: UnsafeRawPointer(found))
    }

    /// The bytes as a safe view, for parsing. It cannot outlive this value.
    public var span: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let buffer = unsafe UnsafeBufferPointer(start: start, count: count)
            return unsafe _overrideLifetime(Span(_unsafeElements: buffer), borrowing: self)
        }
    }

    /// Calls `body` with the memory of the bytes, which it must not write to, nor keep after it has returned.
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe body(UnsafeRawBufferPointer(start: start, count: count))
    }

    /// The same bytes in memory of their own, exactly as large as they are.
    public func copied() -> Bytes {
        unsafe Bytes(copying: UnsafeRawBufferPointer(start: start, count: count))
    }

    /// These bytes and `next` as one, without a copy, if `next` lies right behind them in the same memory.
    func joined(to next: Bytes) -> Bytes? {
        guard let owner = unsafe owner, unsafe owner === next.owner, unsafe start + count == next.start else { return nil }
        return unsafe Bytes(owner: owner, start: start, count: count + next.count)
    }

    /// These bytes followed by those of `other`, in new memory. Copies both; to send several, send an array of `Bytes`.
    public static func + (left: Bytes, right: Bytes) -> Bytes {
        unsafe Bytes(capacity: left.count + right.count) { target in
            let tail = unsafe UnsafeMutableRawBufferPointer(rebasing: target[left.count...])
            unsafe left.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
            unsafe right.withUnsafeBytes { unsafe tail.copyMemory(from: $0) }
            return left.count + right.count
        }
    }

    /// Where no bytes are: any address that is not null. Never read nor written.
    private static var nowhere: UnsafePointer<UInt8> {
        unsafe UnsafePointer(bitPattern: MemoryLayout<Int>.alignment).unsafelyUnwrapped
    }

    /// The positions of some bytes, for half-open ranges without a bound.
    private struct Indices: Collection {
        let count: Int
        var startIndex: Int { 0 }
        var endIndex: Int { count }
        subscript(position: Int) -> Int { position }
        func index(after position: Int) -> Int { position + 1 }
    }
}

extension Bytes: ExpressibleByStringLiteral {
    /// The UTF-8 of the literal, in static memory: no copy, no allocation.
    public init(stringLiteral literal: StaticString) { self.init(literal) }
}

extension Bytes: Equatable, Hashable, Comparable {
    /// Whether both hold the same bytes, wherever these are.
    public static func == (left: Bytes, right: Bytes) -> Bool {
        guard left.count == right.count else { return false }
        return unsafe memcmp(left.start, right.start, left.count) == 0
    }

    /// Byte by byte, as memcmp(3); what is a beginning of another comes before it.
    public static func < (left: Bytes, right: Bytes) -> Bool {
        let order = unsafe memcmp(left.start, right.start, Swift.min(left.count, right.count))
        return order != 0 ? order < 0 : left.count < right.count
    }

    public func hash(into hasher: inout Hasher) {
        unsafe hasher.combine(bytes: UnsafeRawBufferPointer(start: start, count: count))
        hasher.combine(count)
    }
}

extension Bytes: Sequence {
    /// One byte after the other. For work on many, ``span`` is faster.
    public struct Iterator: IteratorProtocol {
        let bytes: Bytes
        var position = 0

        public mutating func next() -> UInt8? {
            guard position < bytes.count else { return nil }
            defer { position += 1 }
            return bytes[position]
        }
    }

    public func makeIterator() -> Iterator { Iterator(bytes: self) }

    public var underestimatedCount: Int { count }

    public func withContiguousStorageIfAvailable<Result>(
        _ body: (UnsafeBufferPointer<UInt8>) throws -> Result
    ) rethrows -> Result? {
        try unsafe body(UnsafeBufferPointer(start: start, count: count))
    }
}

extension Bytes: CustomStringConvertible, CustomDebugStringConvertible {
    /// The bytes as text; what is not UTF-8 becomes U+FFFD.
    public var description: String { String(self) }

    /// The bytes as a quoted string with escapes, cut after 64.
    public var debugDescription: String {
        let shown = String(prefix(64)).debugDescription
        return count > 64 ? "\(shown)… (\(count) bytes)" : shown
    }
}

extension String {
    /// The bytes as text; what is not UTF-8 becomes U+FFFD.
    public init(_ bytes: Bytes) {
        self = unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    }
}

/// Memory of one `Bytes` and all slices of it: the bytes lie in the same allocation as the reference count.
final class BytesStorage: ManagedBuffer<Void, UInt8> {
    static func make(capacity: Int) -> BytesStorage {
        unsafe unsafeDowncast(create(minimumCapacity: capacity) { _ in }, to: BytesStorage.self)
    }
}
