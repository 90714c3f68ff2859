import CTestSupport
import Testing

@testable import UringReactor

@Suite struct BytesTests {
    @Test func threeWords() { #expect(MemoryLayout<Bytes>.size == 24) }

    @Test func empty() {
        let copied = unsafe Bytes(copying: UnsafeRawBufferPointer(start: nil, count: 0))
        for bytes in [Bytes(), Bytes([]), Bytes(""), "", copied] as [Bytes] {
            #expect(bytes.isEmpty && bytes.count == 0)
            #expect(bytes == Bytes())
            #expect(bytes.hashValue == Bytes().hashValue)
            #expect(bytes.identity == nil)
            #expect(String(bytes) == "")
            #expect(bytes.firstIndex(of: 0) == nil && bytes.lastIndex(of: 0) == nil)
            #expect(Array(bytes) == [])
            #expect(bytes[0...].isEmpty && bytes.prefix(3).isEmpty && bytes.dropFirst(3).isEmpty && bytes.suffix(3).isEmpty)
            #expect(bytes.span.count == 0)
            #expect(bytes.copied().isEmpty && (bytes + bytes).isEmpty)
        }
    }

    @Test func madeOfEverything() {
        let expected = Array("hällo".utf8)
        #expect(Array(Bytes("hällo")) == expected)
        #expect(Array("hällo" as Bytes) == expected)
        #expect(Array(Bytes(expected)) == expected)
        #expect(Array(Bytes(expected[...])) == expected)
        #expect(Array(Bytes(expected.lazy.map { $0 })) == expected)
        #expect(Array(Bytes(String("xhällox".dropFirst().dropLast()))) == expected)
        #expect(Array(Bytes("xhällox".dropFirst().dropLast())) == expected)
        #expect(Array(Bytes(Bytes(expected))) == expected)
        let filled = unsafe Bytes(capacity: 10) { memory in
            unsafe memory[0] = 1
            unsafe memory[1] = 2
            return 2
        }
        #expect(Array(filled) == [1, 2])
        unsafe #expect(Bytes(capacity: 0) { _ in 7 }.isEmpty)
        let scalar: StaticString = "x"
        #expect(Bytes(scalar) == "x")
    }

    @Test func fillingMayThrow() {
        struct Mishap: Error {}
        func fill(_ memory: UnsafeMutableRawBufferPointer) throws(Mishap) -> Int { throw Mishap() }
        #expect(throws: Mishap.self) { unsafe try Bytes(capacity: 5, filledBy: fill) }
    }

    @Test(.enabled(if: allocation_counter_works())) func whatDoesNotAllocate() {
        var allocations: UInt64 = 0
        // The first time may set up what the language needs.
        for _ in 0..<2 {
            let before = allocation_count()
            let literal: Bytes = "PUBLISH channel\r\n"
            let slice = literal[8..<15]
            let same = slice == "channel"
            let copy = slice
            let end = copy.firstIndex(of: 0x6e)
            allocations = allocation_count() - before
            #expect(same && end == 3 && literal.identity == nil)
        }
        #expect(allocations == 0)
    }

    @Test func slicesShareTheMemory() throws {
        let whole = Bytes(Array(0..<100 as Range<UInt8>))
        let slice = whole[10..<20]
        #expect(slice.identity == whole.identity && slice.identity != nil)
        let addresses = unsafe whole.withUnsafeBytes { outer in
            unsafe slice.withUnsafeBytes { inner in unsafe inner.baseAddress! - outer.baseAddress! }
        }
        #expect(addresses == 10)
        #expect(Array(slice) == Array(10..<20))
        #expect(slice[0] == 10 && slice[9] == 19)
        #expect(Array(slice[2...]) == Array(12..<20) && Array(slice[...2]) == [10, 11, 12] && Array(slice[..<2]) == [10, 11])
        #expect(slice[10...].isEmpty && slice[0..<0].isEmpty)
        #expect(slice.copied() == slice && slice.copied().identity != slice.identity)
    }

    @Test func aSliceKeepsTheMemoryAlive() {
        weak var owner: AnyObject?
        var slice: Bytes?
        do {
            let whole = Bytes([1, 2, 3])
            owner = unsafe whole.owner
            slice = whole[1..<2]
        }
        #expect(owner != nil && slice?[0] == 2)
        slice = nil
        #expect(owner == nil)
    }

    @Test func endsAreCut() {
        let bytes: Bytes = "abcdef"
        #expect(bytes.prefix(2) == "ab" && bytes.prefix(0) == "" && bytes.prefix(9) == bytes && bytes.prefix(-1) == "")
        #expect(bytes.suffix(2) == "ef" && bytes.suffix(9) == bytes && bytes.suffix(-1) == "")
        #expect(bytes.dropFirst() == "bcdef" && bytes.dropFirst(9) == "" && bytes.dropFirst(-1) == bytes)
        #expect(bytes.dropLast() == "abcde" && bytes.dropLast(9) == "" && bytes.dropLast(0) == bytes)
        #expect(bytes.starts(with: "abc") && bytes.starts(with: "") && bytes.starts(with: bytes))
        #expect(!bytes.starts(with: "abcdefg") && !bytes.starts(with: "b"))
    }

    @Test func search() {
        let bytes: Bytes = "one\ntwo\nthree"
        #expect(bytes.firstIndex(of: 10) == 3)
        #expect(bytes.firstIndex(of: 10, from: 3) == 3)
        #expect(bytes.firstIndex(of: 10, from: 4) == 7)
        #expect(bytes.firstIndex(of: 10, from: 8) == nil)
        #expect(bytes.firstIndex(of: 10, from: bytes.count) == nil)
        #expect(bytes.lastIndex(of: 10) == 7)
        #expect(bytes.lastIndex(of: 10, before: 7) == 3)
        #expect(bytes.lastIndex(of: 10, before: 3) == nil)
        #expect(bytes.lastIndex(of: 10, before: 0) == nil)
        // In a slice, positions are the slice's, and what lies outside is not found.
        #expect(bytes[4..<7].firstIndex(of: 10) == nil && bytes[4..<8].firstIndex(of: 10) == 3)
        #expect(bytes[4..<7].lastIndex(of: 10) == nil)
    }

    @Test func comparison() {
        let (left, right) = (Bytes("xabc").dropFirst(), Bytes("abcx").dropLast())
        #expect(left == right && left.hashValue == right.hashValue)
        #expect(Set([left, right, "abc"]).count == 1)
        #expect(("abc" as Bytes) < "abd" && ("ab" as Bytes) < "abc" && !(("abc" as Bytes) < "abc"))
        #expect(Bytes([0x7f]) < Bytes([0x80]))
        #expect(([ "b", "a", "" ] as [Bytes]).sorted() == ["", "a", "b"])
        #expect(left != "abcd" && left != "abx")
    }

    @Test func joining() {
        #expect(("ab" as Bytes) + "cd" == "abcd")
        #expect(("" as Bytes) + "cd" == "cd" && ("ab" as Bytes) + "" == "ab")
    }

    @Test func text() {
        #expect("\("abc" as Bytes)" == "abc")
        #expect(String(Bytes([0xff])) == "\u{fffd}")
        #expect(("a\r\n" as Bytes).debugDescription == #""a\r\n""#)
        let long = Bytes([UInt8](repeating: 0x61, count: 70))
        #expect(long.debugDescription == "\"\(String(repeating: "a", count: 64))\"… (70 bytes)")
    }

    @Test func asASequence() {
        let bytes: Bytes = "abc"
        #expect(bytes.map { $0 } == [0x61, 0x62, 0x63])
        #expect(bytes.underestimatedCount == 3)
        #expect(bytes.contains(0x62) && bytes.reduce(0) { $0 + Int($1) } == 294)
        let stored = unsafe bytes.withContiguousStorageIfAvailable { $0.count }
        #expect(stored == 3)
        let span = bytes.span
        #expect(span.count == 3 && span[2] == 0x63)
    }

    @Test func positionsOutsideTrap() async {
        await #expect(processExitsWith: .failure) { _ = ("abc" as Bytes)[3] }
        await #expect(processExitsWith: .failure) { _ = ("abc" as Bytes)[-1] }
        await #expect(processExitsWith: .failure) { _ = ("abc" as Bytes)[2..<4] }
        await #expect(processExitsWith: .failure) { _ = ("abc" as Bytes)[...3] }
        await #expect(processExitsWith: .failure) { BytesTests.writeMoreThanFits() }
    }

    private static func writeMoreThanFits() { _ = unsafe Bytes(capacity: 2) { _ in 3 } }
}

extension Bytes {
    /// Who keeps the memory alive; nil for static memory.
    fileprivate var identity: ObjectIdentifier? { unsafe owner.map { ObjectIdentifier($0) } }
}
