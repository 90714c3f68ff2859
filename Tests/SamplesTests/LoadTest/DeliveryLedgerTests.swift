import Testing

@testable import samples

/// What is lost, doubled, reordered, and nobody's fault.
@Suite struct DeliveryLedgerTests {
    private func counts(
        _ sequences: [UInt64], sent: UInt64? = nil, start: UInt64 = 0, joinedLate: Bool = false
    ) -> DeliveryLedger.Counts {
        var ledger = DeliveryLedger(start: start, joinedLate: joinedLate)
        for sequence in sequences { ledger.receive(sequence) }
        return ledger.settled(sent: sent)
    }

    @Test func allInOrder() {
        #expect(counts([0, 1, 2, 3], sent: 4) == .init(received: 4))
    }

    @Test func lostOnes() {
        #expect(counts([0, 1, 4, 5], sent: 6) == .init(received: 4, lost: 2))
        #expect(counts([2, 3], sent: 5) == .init(received: 2, lost: 3))
        #expect(counts([], sent: 5) == .init(lost: 5))
    }

    @Test func doubledOnes() {
        #expect(counts([0, 0, 1, 2, 1], sent: 3) == .init(received: 3, doubled: 2))
    }

    /// Late is not lost, and not doubled unless it comes again.
    @Test func reorderedOnes() {
        #expect(counts([0, 2, 1, 3], sent: 4) == .init(received: 4, reordered: 1))
        #expect(counts([5, 4, 3, 2, 1, 0], sent: 6) == .init(received: 6, reordered: 5))
        #expect(counts([0, 4, 2, 2, 5], sent: 6) == .init(received: 4, lost: 2, doubled: 1, reordered: 1))
    }

    @Test func whoLeavesMissesWhatFollows() {
        #expect(counts([0, 1, 2], sent: nil) == .init(received: 3))
        #expect(counts([0, 2], sent: nil) == .init(received: 2, lost: 1))
    }

    /// What was sent before the `OK` may come or not; what was sent after must.
    @Test func whoJoinsLateMissesWhatCameBefore() {
        #expect(counts([10, 11], sent: 12, start: 10, joinedLate: true) == .init(received: 2))
        #expect(counts([8, 9, 10, 11], sent: 12, start: 10, joinedLate: true) == .init(received: 4))
        #expect(counts([11], sent: 12, start: 10, joinedLate: true) == .init(received: 1, lost: 1))
        #expect(counts([], sent: 12, start: 10, joinedLate: true) == .init(lost: 2))
        #expect(counts([], sent: 10, start: 10, joinedLate: true) == .init())
        // Nothing may be missing in between.
        #expect(counts([8, 10, 11], sent: 12, start: 10, joinedLate: true) == .init(received: 3, lost: 1))
        #expect(counts([9, 8, 10], sent: 11, start: 10, joinedLate: true) == .init(received: 3, reordered: 1))
    }

    /// A corrupt message is not lost too, whether it can be told which it was or not.
    @Test func corruptOnes() {
        var ledger = DeliveryLedger()
        ledger.receive(0)
        ledger.receiveCorrupt(1)
        ledger.receiveCorrupt(nil)
        ledger.receive(3)
        #expect(ledger.settled(sent: 4) == .init(received: 2, corrupt: 2))
        #expect(ledger.settled(sent: 6) == .init(received: 2, lost: 2, corrupt: 2))
    }

    @Test func completeIsWithoutGaps() {
        var ledger = DeliveryLedger()
        ledger.receive(0)
        ledger.receive(2)
        #expect(!ledger.isComplete(of: 3))
        ledger.receive(1)
        #expect(ledger.isComplete(of: 3) && !ledger.isComplete(of: 4))
    }

    /// Its memory has a limit; what is missing is still counted.
    @Test func manyGaps() {
        var ledger = DeliveryLedger()
        for sequence in stride(from: UInt64(1), to: 20_001, by: 2) { ledger.receive(sequence) }
        #expect(ledger.settled(sent: 20_000) == .init(received: 10_000, lost: 10_000))
    }
}
