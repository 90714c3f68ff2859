import CLiburing
import Testing

@testable import UringReactor

@Suite struct VectorBlockTests {
    /// Whatever part of it is taken each time, the pieces come out whole and in order.
    @Test(arguments: 0..<20) func anyCut(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let pieces = (0..<3000).map { number in
            Bytes([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: Int.random(in: 1...5, using: &random)))
        }
        let expected = pieces.flatMap { Array($0) }
        let block = VectorBlock(holding: pieces)
        #expect(block.total == expected.count)
        var seen: [UInt8] = []
        while seen.count < expected.count {
            #expect(block.offered > 0 && block.offered <= expected.count - seen.count)
            let offer = contents(of: block)
            #expect(offer.count == block.offered)
            let count = Int.random(in: 1...offer.count, using: &random)
            seen += offer.prefix(count)
            block.advance(by: count)
        }
        #expect(seen == expected)
        #expect(block.offered == 0)
    }

    private func contents(of block: VectorBlock) -> [UInt8] {
        let header = unsafe block.header.pointee
        #expect(unsafe header.msg_iovlen <= VectorBlock.mostPieces)
        var bytes: [UInt8] = []
        for place in 0..<(unsafe Int(header.msg_iovlen)) {
            let vector = unsafe header.msg_iov[place]
            unsafe bytes += UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len)
        }
        return bytes
    }

    @Test func nothing() {
        let block = VectorBlock(holding: [])
        #expect(block.total == 0 && block.offered == 0)
        #expect(unsafe block.header.pointee.msg_iovlen == 0)
    }
}
