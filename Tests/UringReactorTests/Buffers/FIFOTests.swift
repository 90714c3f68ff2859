import Testing

@testable import UringReactor

@Suite struct FIFOTests {
    /// Filled and emptied at random, so that it wraps and grows in the middle: what comes out is what went in, in order.
    @Test(arguments: [1, 2, 16, 100]) func keepsTheOrder(capacity: Int) {
        var generator = SeededGenerator(seed: UInt64(capacity))
        let queue = FIFO<UInt32>(capacity: capacity)
        var (next, expected) = (UInt32(0), UInt32(0))
        for _ in 0..<10_000 {
            if generator.next() % 100 < 51 {
                queue.append(next)
                next += 1
            } else {
                let element = queue.popFirst()
                #expect(element == (expected < next ? expected : nil))
                if element != nil { expected += 1 }
            }
            #expect(queue.count == Int(next - expected))
            #expect(queue.isEmpty == (next == expected))
        }
        while let element = queue.popFirst() {
            #expect(element == expected)
            expected += 1
        }
        #expect(expected == next)
    }
}
