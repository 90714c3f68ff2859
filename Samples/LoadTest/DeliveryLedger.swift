/// Which messages of its publisher a subscriber has got: finds those that are lost, doubled, or not in order.
///
/// A subscriber that was there before the publisher began must get all of them, from 0. One that joined later must get all
/// that were sent after it had its `OK`, and may get some that were sent before; what it misses before its first message and
/// before that moment is nobody's fault. One that leaves misses what follows. In between nothing may be missing.
struct DeliveryLedger {
    /// What was found.
    struct Counts: Equatable {
        /// Messages that came for the first time, in order or not.
        var received: UInt64 = 0
        /// Messages that never came.
        var lost: UInt64 = 0
        /// Messages that came again.
        var doubled: UInt64 = 0
        /// Messages that came after one that was sent later.
        var reordered: UInt64 = 0
        /// Messages that were changed on the way.
        var corrupt: UInt64 = 0

        static func + (left: Counts, right: Counts) -> Counts {
            Counts(
                received: left.received + right.received, lost: left.lost + right.lost,
                doubled: left.doubled + right.doubled, reordered: left.reordered + right.reordered,
                corrupt: left.corrupt + right.corrupt)
        }
    }

    private var counts = Counts()
    /// The one that must come next; all before have come, or are in a gap.
    private(set) var next: UInt64
    /// The first that must come. One that joined late may get earlier ones.
    let start: UInt64
    private var hasBegun: Bool
    /// The first that came, of a subscriber that joined late.
    private var first: UInt64
    /// What is missing before ``next``: not empty, in order.
    private var gaps: [Range<UInt64>] = []
    /// Missing ones that are not looked for any more, because there are too many gaps.
    private var givenUp: UInt64 = 0
    /// Corrupt messages of which is not known which they were: each of them is one of those that are missing.
    private var unreadable: UInt64 = 0

    /// Gaps that are remembered, for messages that come late.
    private static let mostGaps = 4_096

    /// - Parameters:
    ///   - start: the number of messages that the publisher had sent when this subscriber got its `OK`.
    ///   - joinedLate: whether the publisher had begun.
    init(start: UInt64 = 0, joinedLate: Bool = false) {
        self.start = start
        next = start
        first = start
        hasBegun = !joinedLate
    }

    /// Notes a message that came.
    ///
    /// - Returns: whether it came for the first time.
    @inline(__always)
    @discardableResult
    mutating func receive(_ sequence: UInt64) -> Bool {
        guard sequence == next, hasBegun else { return receiveUnexpected(sequence) }
        next = sequence + 1
        counts.received += 1
        return true
    }

    /// Notes a message that came changed; nil if it cannot be said which it was.
    mutating func receiveCorrupt(_ sequence: UInt64?) {
        counts.corrupt += 1
        guard let sequence else {
            unreadable += 1
            return
        }
        // It has come: it is not missing too.
        if receive(sequence) { counts.received -= 1 }
    }

    private mutating func receiveUnexpected(_ sequence: UInt64) -> Bool {
        if !hasBegun {
            // The first one of a subscriber that joined late: anything up to the first that must come.
            hasBegun = true
            first = min(sequence, start)
            next = first
        }
        if sequence >= next {
            if sequence > next { miss(next..<sequence) }
            next = sequence + 1
        } else if sequence < first || fill(sequence) {
            counts.reordered += 1
        } else {
            counts.doubled += 1
            return false
        }
        counts.received += 1
        return true
    }

    private mutating func miss(_ sequences: Range<UInt64>) {
        if gaps.count == DeliveryLedger.mostGaps { givenUp += UInt64(gaps.removeFirst().count) }
        gaps.append(sequences)
    }

    /// Whether a message was missing, and now is not any more.
    private mutating func fill(_ sequence: UInt64) -> Bool {
        guard let index = gaps.lastIndex(where: { $0.lowerBound <= sequence }), gaps[index].contains(sequence) else {
            return false
        }
        let gap = gaps[index]
        let rest = [gap.lowerBound..<sequence, sequence + 1..<gap.upperBound].filter { !$0.isEmpty }
        gaps.replaceSubrange(index...index, with: rest)
        return true
    }

    /// Whether nothing is missing of so many messages.
    func isComplete(of sent: UInt64) -> Bool { next >= sent && gaps.isEmpty && givenUp == 0 }

    /// What was found, in the end.
    ///
    /// - Parameter sent: how many messages the publisher has sent; nil if the subscriber left before the end, so that what
    ///   follows its last message is not missing.
    func settled(sent: UInt64?) -> Counts {
        var settled = counts
        var missing = givenUp + gaps.reduce(0) { $0 + UInt64($1.count) }
        if let sent, sent > next { missing += sent - next }
        settled.lost = missing - min(missing, unreadable)
        return settled
    }
}
