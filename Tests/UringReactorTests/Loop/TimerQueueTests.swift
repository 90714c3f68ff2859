import Testing

@testable import UringReactor

@Suite struct TimerQueueTests {
    /// Against a sorted array, by many seeds.
    @Test(arguments: 0..<50) func agreesWithASortedArray(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var queue = TimerQueue()
        var model: [(deadline: UInt64, order: Int, slot: UInt32)] = []
        var order = 0
        var now: UInt64 = 0
        for _ in 0..<2000 {
            if Int.random(in: 0..<3, using: &random) < 2 {
                let deadline = now + UInt64.random(in: 0..<40, using: &random)
                let slot = UInt32.random(in: 0..<1000, using: &random)
                queue.add(OperationToken(.callback, slot: slot, generation: 0), at: deadline)
                model.append((deadline, order, slot))
                model.sort { ($0.deadline, $0.order) < ($1.deadline, $1.order) }
                order += 1
            } else {
                now += UInt64.random(in: 0..<10, using: &random)
                #expect(queue.next == model.first?.deadline)
                while let token = queue.popDue(at: now) { #expect(token.slot == model.removeFirst().slot) }
                #expect(model.first.map { $0.deadline > now } ?? true)
            }
            #expect(queue.count == model.count)
        }
    }

    @Test func staleOnesAreThrownOutTogether() {
        var queue = TimerQueue()
        for slot in 0..<200 as Range<UInt32> {
            queue.add(OperationToken(.callback, slot: slot, generation: 0), at: UInt64((slot * 7) % 200))
        }
        for _ in 0..<101 { queue.noteStale { $0.slot % 2 == 0 } }
        #expect(queue.count == 100)
        var last: UInt64 = 0
        while let token = queue.popDue(at: .max) {
            #expect(token.slot % 2 == 0)
            let deadline = UInt64((token.slot * 7) % 200)
            #expect(deadline >= last)
            last = deadline
        }
    }

    @Test func nothingIsDueEarly() {
        var queue = TimerQueue()
        #expect(queue.next == nil && queue.isEmpty)
        queue.add(.none, at: 10)
        #expect(queue.popDue(at: 9) == nil)
        #expect(queue.popDue(at: 10) != nil)
        #expect(queue.popDue(at: .max) == nil)
    }
}
