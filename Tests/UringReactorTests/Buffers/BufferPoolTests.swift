import Testing

@testable import UringReactor

@Suite struct BufferPoolTests {
    private func pool(limit: Int? = nil, kept: Int = 256) -> BufferPool {
        BufferPool([.init(size: 1600), .init(size: 100, limit: limit, kept: kept), .init(size: 400)])
    }

    private func fill(_ buffer: PooledBuffer, _ byte: UInt8, _ count: Int) -> Bytes {
        for place in 0..<count { unsafe buffer.target[place] = byte }
        return buffer.slice(count)
    }

    @Test func theSmallestSizeThatIsLargeEnough() throws {
        let pool = pool()
        let wanted = [0, 1, 100, 101, 400, 401, 1600]
        #expect(wanted.map { pool.checkOut(atLeast: $0)?.capacity } == [100, 100, 100, 400, 400, 1600, 1600])
        #expect(pool.checkOut(atLeast: 1601) == nil)
        #expect(pool.usage.map(\.size) == [100, 400, 1600])
        #expect(pool.usage.map(\.inUse) == [3, 2, 2])
    }

    @Test func usedAgainWhenNobodyHasASlice() throws {
        let pool = pool()
        for _ in 0..<10 {
            let buffer = try #require(pool.checkOut(atLeast: 100))
            #expect(buffer.room == 100)
            _ = fill(buffer, 1, 60)
            #expect(buffer.room == 40)
            pool.checkIn(buffer)
        }
        #expect(pool.usage[0].misses == 1)
        #expect(pool.usage[0].inUse == 0)
        #expect(pool.usage[0].highWaterMark == 1)
    }

    @Test func neverWrittenWhileASliceLives() throws {
        let pool = pool()
        var kept: [Bytes] = []
        for number in 0..<50 as Range<UInt8> {
            let buffer = try #require(pool.checkOut(atLeast: 100))
            kept.append(fill(buffer, number, 100))
            pool.checkIn(buffer)
        }
        #expect(pool.usage[0].misses == 50)
        #expect(pool.usage[0].inUse == 50)
        for (number, bytes) in kept.enumerated() { #expect(bytes.allSatisfy { Int($0) == number }) }
        // All come back, though nobody told the pool.
        kept.removeAll()
        #expect(pool.usage[0].inUse == 0)
        let taken = (0..<50).compactMap { _ in pool.checkOut(atLeast: 1) }
        #expect(pool.usage[0].misses == 50)
        #expect(taken.allSatisfy { $0.room == 100 })
        #expect(Set(taken.map { ObjectIdentifier($0) }).count == 50)
    }

    @Test func aSliceKeptForGoodDoesNotStopTheOthers() throws {
        let pool = pool()
        let buffer = try #require(pool.checkOut(atLeast: 1))
        let kept = fill(buffer, 9, 1)
        pool.checkIn(buffer)
        for _ in 0..<100 { pool.checkIn(try #require(pool.checkOut(atLeast: 1))) }
        #expect(pool.usage[0].misses == 2)
        #expect(kept == Bytes([9]))
    }

    @Test func onlySoManyAreKept() throws {
        let pool = pool(kept: 4)
        for _ in 0..<2 {
            var taken = (0..<10).compactMap { _ in pool.checkOut(atLeast: 1) }
            while let buffer = taken.popLast() { pool.checkIn(buffer) }
        }
        #expect(pool.usage[0].misses == 10 + 6)
        #expect(pool.usage[0].inUse == 0)
    }

    @Test func atTheLimitACheckOutIsRefused() throws {
        let pool = pool(limit: 2)
        let first = try #require(pool.checkOut(atLeast: 1))
        var second: PooledBuffer? = pool.checkOut(atLeast: 1)
        #expect(pool.checkOut(atLeast: 1) == nil)
        #expect(pool.usage[0].refusals == 1)
        var slice: Bytes? = fill(second!, 1, 1)
        pool.checkIn(second.take()!)
        // A living slice keeps it in use; when that is gone, the next check-out finds it.
        #expect(pool.checkOut(atLeast: 1) == nil)
        #expect(slice?.count == 1)
        slice = nil
        #expect(pool.checkOut(atLeast: 1)?.room == 100)
        #expect(first.room == 100)
        #expect(pool.usage[0].inUse == 2)
    }

    /// What a test of a program looks at when all is over.
    @Test func aBufferThatNobodyCheckedInIsALeak() throws {
        let pool = pool()
        _ = pool.checkOut(atLeast: 1)
        #expect(pool.usage.map(\.inUse) == [1, 0, 0])
    }

    @Test func fillingReturnsWhatWasWritten() throws {
        let buffer = try #require(pool().checkOut(atLeast: 100))
        let first = unsafe buffer.fill { memory in
            unsafe memory.storeBytes(of: 0x61, as: UInt8.self)
            return 1
        }
        let second = unsafe buffer.fill { memory in
            #expect(memory.count == 99)
            unsafe memory.storeBytes(of: 0x62, as: UInt8.self)
            return 1
        }
        #expect(first == "a" && second == "b")
        #expect(buffer.room == 98 && buffer.used == 2)
    }

    @Test func oneConnectionsBufferIsResetInPlace() throws {
        var buffer: PooledBuffer? = pool().checkOut(atLeast: 1)
        var bytes: Bytes? = fill(buffer!, 1, 30)
        PooledBuffer.resetIfUnused(&buffer)
        #expect(buffer?.used == 30 && bytes?.count == 30)
        bytes = nil
        PooledBuffer.resetIfUnused(&buffer)
        #expect(buffer?.used == 0)
    }
}
