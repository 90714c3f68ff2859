import CTestSupport
import SystemPackage
import Testing

@testable import UringReactor

@Suite struct BytesBuilderTests {
    private func address(_ bytes: Bytes) -> UnsafeRawPointer? { unsafe bytes.withUnsafeBytes { $0.baseAddress } }

    @Test func everyKindOfPiece() {
        var builder = BytesBuilder()
        #expect(builder.isEmpty && builder.capacity == 0)
        builder.append("literal ")
        builder.append(Bytes("bytes "))
        builder.append(String("string "))
        builder.append(UInt8(ascii: "!"))
        builder.append(contentsOf: [65, 66, 67])
        builder.append(contentsOf: (68..<71).lazy.map { UInt8($0) })
        builder.append(Bytes())
        #expect(builder.count == "literal bytes string !ABCDEF".utf8.count)
        #expect(builder.freeze() == "literal bytes string !ABCDEF")
    }

    @Test func growsAndKeepsWhatIsThere() {
        var builder = BytesBuilder(capacity: 1)
        var expected: [UInt8] = []
        for number in 0..<10_000 {
            builder.append(UInt8(truncatingIfNeeded: number * 7))
            expected.append(UInt8(truncatingIfNeeded: number * 7))
        }
        #expect(builder.capacity >= 10_000 && builder.capacity < 20_000)
        #expect(builder.freeze() == Bytes(expected))
    }

    @Test func reservesAtLeastWhatIsAsked() {
        var builder = BytesBuilder(capacity: 10)
        builder.append("12345")
        builder.reserve(5)
        #expect(builder.capacity == 10)
        builder.reserve(6)
        #expect(builder.capacity == 20)
        builder.reserve(1000)
        #expect(builder.capacity == 1005)
        #expect(builder.freeze() == "12345")
    }

    @Test(.enabled(if: allocation_counter_works())) func oneAllocationForWhatFits() {
        func build() -> (allocations: UInt64, bytes: Bytes) {
            let before = allocation_count()
            var builder = BytesBuilder(capacity: 100)
            for _ in 0..<10 { builder.append("0123456789") }
            let bytes = builder.freeze()
            return (allocation_count() - before, bytes)
        }
        // The first time the runtime makes up its mind about the types, too.
        _ = build()
        let (allocations, bytes) = build()
        #expect(allocations == 1)
        #expect(bytes.count == 100)
    }

    @Test func decimals() {
        func text(_ number: some BinaryInteger) -> String {
            var builder = BytesBuilder()
            builder.append("<")
            builder.append(decimal: number)
            return String(builder.freeze())
        }
        #expect(text(0) == "<0")
        #expect(text(-1) == "<-1")
        #expect(text(10) == "<10")
        #expect(text(1_234_567_890) == "<1234567890")
        #expect(text(Int.min) == "<\(Int.min)")
        #expect(text(Int.max) == "<\(Int.max)")
        #expect(text(UInt64.max) == "<\(UInt64.max)")
        #expect(text(Int8.min) == "<-128")
        #expect(text(UInt8.max) == "<255")
    }

    @Test func frozenWithoutACopy() {
        var builder = BytesBuilder(capacity: 5)
        var written: UInt?
        unsafe builder.append(upTo: 5) { memory in
            written = UInt(bitPattern: memory.baseAddress)
            unsafe memory.copyBytes(from: [1, 2, 3])
            return 3
        }
        let bytes = builder.freeze()
        #expect(bytes == Bytes([1, 2, 3]))
        unsafe #expect(UInt(bitPattern: address(bytes)) == written)
        #expect(BytesBuilder().freeze().isEmpty)
        #expect(BytesBuilder(capacity: 10).freeze().isEmpty)
    }

    @Test func fillingMayThrow() {
        var builder = BytesBuilder()
        builder.append("before")
        #expect(throws: Mishap.self) {
            try unsafe builder.append(upTo: 3) { _ in throw Mishap() }
        }
        #expect(builder.freeze() == "before")
    }

    @Test func bytesThatLieSideBySideAreJoined() {
        let whole: Bytes = Bytes([1, 2, 3, 4])
        #expect(whole[0..<2].joined(to: whole[2...]) == whole)
        unsafe #expect(address(whole[0..<1].joined(to: whole[1..<3])!) == address(whole))
        #expect(whole[0..<2].joined(to: whole[3...]) == nil)
        #expect(whole[2...].joined(to: whole[..<2]) == nil)
        #expect(whole[0..<2].joined(to: Bytes([3, 4])) == nil)
        #expect(Bytes("ab").joined(to: Bytes("cd")) == nil)
        #expect(Bytes().joined(to: Bytes()) == nil)
    }

    @Test func staticMemoryIsNotCopied() {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 3, alignment: 1)
        defer { unsafe memory.deallocate() }
        unsafe memory.copyBytes(from: [7, 8, 9])
        let bytes = unsafe Bytes(staticMemory: UnsafeRawBufferPointer(memory))
        #expect(bytes == Bytes([7, 8, 9]))
        #expect(unsafe address(bytes) == UnsafeRawPointer(memory.baseAddress))
        #expect(unsafe bytes.owner == nil)
        #expect(unsafe Bytes(staticMemory: UnsafeRawBufferPointer(start: nil, count: 0)).isEmpty)
    }
}
