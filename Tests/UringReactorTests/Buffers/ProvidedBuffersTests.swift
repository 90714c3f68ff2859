import CLiburing
import Glibc
import SystemPackage
import Testing

@testable import UringReactor

/// Buffers for the kernel to pick from, seen from its side: each is in the ring once, or with somebody.
@Suite struct ProvidedBuffersTests {
    /// A ring of buffers and the kernel's end of it.
    private final class Both {
        let kernel: MemoryKernel
        var ours: ProvidedBuffers?
        /// What the kernel counts for itself.
        var head: UInt16 = 0

        init(count: Int, size: Int = 16, firstNumber: UInt16 = 0, copiesLast: Bool = true) throws {
            kernel = try MemoryKernel(startingAt: 0)
            kernel.takesBufferRings = true
            ours = try ProvidedBuffers(
                kernel: kernel, group: 3, count: count, size: size, firstNumber: firstNumber, copiesLast: copiesLast)
        }

        var inRing: Int { unsafe Int(kernel.bufferRings[0].tail.pointee &- head) }

        /// Takes the next buffer and writes `byte` into it.
        func receive(_ byte: UInt8, count: Int) -> UInt16? {
            let ring = unsafe kernel.bufferRings[0]
            guard inRing > 0 else { return nil }
            let entry = unsafe ring.entries[Int(head & (ring.count - 1))]
            head &+= 1
            let memory = unsafe UnsafeMutableRawPointer(bitPattern: UInt(entry.addr))!
            unsafe memset(memory, Int32(byte), count)
            return entry.bid
        }
    }

    @Test(arguments: [0, 0x8000] as [UInt16]) func allBuffersAreThereAtTheBeginning(firstNumber: UInt16) throws {
        let both = try Both(count: 8, size: 32, firstNumber: firstNumber)
        let ring = unsafe both.kernel.bufferRings[0]
        #expect(unsafe ring.group == 3 && ring.count == 8 && ring.tail.pointee == 8)
        let entries = (0..<8).map { unsafe ring.entries[$0] }
        #expect(entries.map(\.bid) == (0..<8).map { firstNumber + $0 })
        #expect(entries.allSatisfy { $0.len == 32 })
        #expect(Set(entries.map(\.addr)).count == 8)
        #expect(entries.map(\.addr).max()! - entries.map(\.addr).min()! == 7 * 32)
        #expect(both.ours?.available == 8 && both.ours?.inUse == 0)
    }

    // The tail has 16 bits, and goes round.
    @Test func theTailWraps() throws {
        let both = try Both(count: 8)
        let ours = try #require(both.ours)
        var wrong = 0
        for round in 0..<70_000 {
            guard let number = both.receive(UInt8(truncatingIfNeeded: round), count: 1) else {
                wrong += 1
                break
            }
            if ours.take(number, count: 1)[0] != UInt8(truncatingIfNeeded: round) { wrong += 1 }
            ours.finish(number)
            if both.inRing != 8 { wrong += 1 }
        }
        #expect(wrong == 0)
        #expect(ours.available == 8)
    }

    // The model knows who holds what; a buffer in the ring while somebody holds it would be overwritten.
    @Test(arguments: 0..<10) func eachIsReturnedOnceAndNotBeforeItsSlicesAreGone(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let both = try Both(count: 64)
        let ours = try #require(both.ours)
        var held: [(bytes: Bytes, byte: UInt8)] = []
        for step in 0..<3000 {
            let byte = UInt8(truncatingIfNeeded: step)
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                guard let number = both.receive(byte, count: 16) else { break }
                if Int.random(in: 0..<8, using: &random) == 0 {
                    ours.discard(number)
                } else {
                    let bytes = ours.take(number, count: 16)
                    // Two slices of one buffer count as one.
                    held.append((bytes.prefix(8), byte))
                    if Bool.random(using: &random) { held.append((bytes.dropFirst(8), byte)) }
                    // As after the handler's call: the slices are the handler's now.
                    ours.finish(number)
                }
            case 2: if !held.isEmpty { held.remove(at: Int.random(in: 0..<held.count, using: &random)) }
            default: ours.reclaim()
            }
            #expect(both.inRing == ours.available)
            #expect(ours.inUse <= held.count + 64 && ours.available + ours.inUse == 64)
        }
        #expect(held.allSatisfy { kept in kept.bytes.allSatisfy { $0 == kept.byte } })
        held = []
        // A look may end early, when several in a row are still in use; none is now.
        ours.reclaim()
        #expect(ours.available == 64 && both.inRing == 64)
        let numbers = (0..<64).compactMap { _ in both.receive(0, count: 0) }
        #expect(Set(numbers).count == 64)
    }

    @Test func aSliceDroppedOnAnotherThreadIsNoticedAtTheNextLook() throws {
        let both = try Both(count: 8)
        let ours = try #require(both.ours)
        let number = try #require(both.receive(1, count: 16))
        let slices = Box<Bytes>()
        slices.value = ours.take(number, count: 16)
        ours.finish(number)
        ours.reclaim()
        #expect(ours.available == 7 && both.inRing == 7)
        let carried = Carried(slices)
        TestThread { carried.value.value = nil }.join()
        #expect(ours.available == 7)
        ours.reclaim()
        #expect(ours.available == 8 && both.inRing == 8)
        ours.reclaim()
        #expect(both.inRing == 8)
    }

    // Nobody can take the last one: what is received with fewer than an eighth left is copied.
    @Test(arguments: [(1, 1, 0), (2, 1, 0), (8, 1, 2), (16, 2, 4), (512, 64, 128)])
    func thresholds(count: Int, reserve: Int, scarce: Int) throws {
        let both = try Both(count: count)
        let ours = try #require(both.ours)
        var kept: [Bytes] = []
        for taken in 1...count {
            let number = try #require(both.receive(0, count: 1))
            let bytes = ours.take(number, count: 1)
            #expect(ours.mustCopy == (count - taken < reserve))
            #expect(ours.isScarce == (count - taken < scarce))
            kept.append(bytes)
            ours.finish(number)
        }
        #expect(ours.fewestAvailable == 0)
        kept = []
        ours.reclaim()
        #expect(ours.available == count && !ours.mustCopy && !ours.isScarce)
        #expect(ours.fewestAvailable == 0)
    }

    // Many that are kept must not cost a look each in every turn, unless buffers are scarce; and a few that come back behind
    // them are found within a few turns.
    @Test func aLookEndsEarlyButGoesRound() throws {
        let both = try Both(count: 512)
        let ours = try #require(both.ours)
        var kept: [Bytes] = []
        for _ in 0..<100 {
            let number = try #require(both.receive(0, count: 1))
            kept.append(ours.take(number, count: 1))
            ours.finish(number)
        }
        kept.removeLast(50)
        ours.reclaim()
        #expect(ours.available == 412)
        for _ in 0..<6 { ours.reclaim() }
        #expect(ours.available == 462)
    }

    @Test func slicesOutliveTheRing() throws {
        let both = try Both(count: 2)
        let number = try #require(both.receive(5, count: 16))
        let bytes = both.ours?.take(number, count: 16)
        both.ours?.finish(number)
        both.ours = nil
        #expect(bytes == Bytes([UInt8](repeating: 5, count: 16)))
    }

    @Test func aRefusalLeavesNothingBehind() throws {
        let kernel = try MemoryKernel(startingAt: 0)
        #expect(throws: Errno.notSupported) {
            try ProvidedBuffers(kernel: kernel, group: 0, count: 8, size: 16, firstNumber: 0, copiesLast: true)
        }
        #expect(throws: Errno.notSupported) { try ReceiveRings(kernel: kernel, count: 8, size: 16) }
    }
}
