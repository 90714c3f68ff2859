import Testing

@testable import UringReactor

@Suite struct SlabTests {
    private struct Element: SlabElement {
        var generation: UInt32 = 0
        var nextVacant: UInt32 = 0
        var value = 0
    }

    @Test func placesAreUsedLowFirstAndAgain() {
        let slab = Slab<Element>(limit: 1000)
        #expect((0..<3).map { _ in slab.take() } == [0, 1, 2])
        slab.vacate(1)
        #expect(slab.count == 2 && slab.highWaterMark == 3)
        #expect(slab.take() == 1)
        #expect(slab[1].generation == 1)
        #expect(!slab.isCurrent(1, generation: 0) && slab.isCurrent(1, generation: 1))
        #expect(!slab.isCurrent(100_000, generation: 0) && !slab.isCurrent(Slab<Element>.end, generation: 0))
    }

    @Test func nothingMovesWhenItGrows() {
        let slab = Slab<Element>(limit: 100_000)
        let first = slab.take()!
        slab[first].value = 42
        let address = unsafe slab.pointer(to: first)
        for _ in 0..<9999 { _ = slab.take() }
        #expect(unsafe slab.pointer(to: first) == address)
        #expect(slab[first].value == 42)
        #expect(slab.count == 10_000)
    }

    @Test(arguments: [1, 255, 256, 257, 1000]) func theLimitHolds(limit: Int) {
        let slab = Slab<Element>(limit: limit)
        for _ in 0..<limit { #expect(slab.take() != nil) }
        #expect(slab.take() == nil)
        slab.vacate(0)
        #expect(slab.take() == 0)
        #expect(slab.take() == nil)
    }

    @Test func generationsWrapAt24Bits() {
        let slab = Slab<Element>(limit: 1)
        let index = slab.take()!
        slab[index].generation = 0xff_ffff
        slab.vacate(index)
        #expect(slab[index].generation == 0)
    }

    @Test func eachPlaceHasOneOwner() {
        var random = SeededGenerator(seed: 3)
        let slab = Slab<Element>(limit: 600)
        var taken: [UInt32: Int] = [:]
        for step in 0..<20_000 {
            if Bool.random(using: &random), let index = slab.take() {
                #expect(taken.updateValue(step, forKey: index) == nil)
                slab[index].value = step
            } else if let (index, step) = taken.randomElement(using: &random) {
                #expect(slab[index].value == step)
                slab.vacate(index)
                taken[index] = nil
            }
            #expect(slab.count == taken.count)
        }
    }

    /// What the hot path touches; a change is a decision, not an accident.
    @Test func slotSizes() {
        #expect(MemoryLayout<CallbackSlot>.stride == 128)
        #expect(MemoryLayout<ConnectionSlot>.stride == 272)
        #expect(MemoryLayout<Connection>.size == 8)
        #expect(MemoryLayout<OperationToken>.size == 8)
    }
}
