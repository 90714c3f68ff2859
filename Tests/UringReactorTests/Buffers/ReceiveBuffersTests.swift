import Testing

@testable import UringReactor

@Suite struct ReceiveBuffersTests {
    private func fill(_ buffer: ReceiveBuffer, _ byte: UInt8, _ count: Int) -> Bytes {
        for place in 0..<count { unsafe buffer.target[place] = byte }
        return buffer.slice(count)
    }

    @Test func sizes() {
        let buffers = ReceiveBuffers(baseSize: 100)
        #expect(ReceiveBuffers.Size.allCases.map { buffers.capacity(of: $0) } == [100, 400, 1600])
        #expect(ReceiveBuffers.Size.allCases.map { buffers.take($0).capacity } == [100, 400, 1600])
        #expect(ReceiveBuffers.Size.allCases.map { $0.larger } == [.medium, .large, .large])
        #expect(ReceiveBuffers.Size.allCases.map { $0.smaller } == [.small, .small, .medium])
    }

    @Test func usedAgainWhenNobodyHasASlice() {
        let buffers = ReceiveBuffers(baseSize: 100)
        for _ in 0..<10 {
            let buffer = buffers.take(.small)
            #expect(buffer.room == 100)
            _ = fill(buffer, 1, 60)
            #expect(buffer.room == 40)
            buffers.give(buffer)
        }
        #expect(buffers.allocations == 1)
    }

    @Test func neverWrittenWhileASliceLives() {
        let buffers = ReceiveBuffers(baseSize: 100)
        var kept: [Bytes] = []
        for number in 0..<50 as Range<UInt8> {
            let buffer = buffers.take(.small)
            kept.append(fill(buffer, number, 100))
            buffers.give(buffer)
        }
        #expect(buffers.allocations == 50)
        for (number, bytes) in kept.enumerated() { #expect(bytes.allSatisfy { Int($0) == number }) }
        // All come back, though nobody told the pool.
        kept.removeAll()
        var taken: [ReceiveBuffer] = []
        for _ in 0..<50 { taken.append(buffers.take(.small)) }
        #expect(buffers.allocations == 50)
        #expect(taken.allSatisfy { $0.room == 100 })
        #expect(Set(taken.map { ObjectIdentifier($0) }).count == 50)
    }

    @Test func aSliceKeptForGoodDoesNotStopTheOthers() {
        let buffers = ReceiveBuffers(baseSize: 100)
        let buffer = buffers.take(.small)
        let kept = fill(buffer, 9, 1)
        buffers.give(buffer)
        for _ in 0..<100 { buffers.give(buffers.take(.small)) }
        #expect(buffers.allocations == 2)
        #expect(kept == Bytes([9]))
    }

    @Test func onlySoManyAreKept() {
        let buffers = ReceiveBuffers(baseSize: 10, keepLimit: 4)
        let taken = (0..<10).map { _ in buffers.take(.small) }
        for buffer in taken { buffers.give(buffer) }
        #expect(buffers.allocations == 10)
    }

    @Test func oneConnectionsBufferIsResetInPlace() {
        let buffers = ReceiveBuffers(baseSize: 100)
        var buffer: ReceiveBuffer? = buffers.take(.small)
        var bytes: Bytes? = fill(buffer!, 1, 30)
        ReceiveBuffers.resetIfUnused(&buffer)
        #expect(buffer?.used == 30 && bytes?.count == 30)
        bytes = nil
        ReceiveBuffers.resetIfUnused(&buffer)
        #expect(buffer?.used == 0)
    }
}
