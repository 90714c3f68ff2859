/// The publishers of one channel, and which of them were told to pause: those at the front.
///
/// Joining, leaving, and moving one publisher from one side to the other take constant time, so that a channel's pause may
/// be broken off, turned round or taken up again at any publisher.
struct PublisherList<P: Peer> {
    private struct Member {
        let peer: P
        let id: MemberID
    }

    private var members: [Member] = []
    private var positions: [MemberID: Int] = [:]
    /// How many were told to pause.
    private(set) var pausedCount = 0

    /// The number of publishers.
    var count: Int { members.count }

    var isEmpty: Bool { members.isEmpty }

    /// Adds a publisher that reads.
    mutating func insert(_ peer: P, id: MemberID) {
        let replaced = positions.updateValue(members.count, forKey: id)
        assert(replaced == nil, "member \(id) joined twice")
        members.append(Member(peer: peer, id: id))
    }

    /// Takes a publisher out: whether it was paused, or nil if it was not there (any more).
    mutating func remove(_ id: MemberID) -> Bool? {
        guard var gap = positions.removeValue(forKey: id) else { return nil }
        let wasPaused = gap < pausedCount
        if wasPaused {
            pausedCount -= 1
            move(pausedCount, to: gap)
            gap = pausedCount
        }
        move(members.count - 1, to: gap)
        members.removeLast()
        return wasPaused
    }

    /// A publisher that is to be told to pause, or to resume, and counts as told from now on; nil if all have been.
    mutating func next(toPause: Bool) -> P? {
        if toPause {
            guard pausedCount < members.count else { return nil }
            pausedCount += 1
            return members[pausedCount - 1].peer
        } else {
            guard pausedCount > 0 else { return nil }
            pausedCount -= 1
            return members[pausedCount].peer
        }
    }

    private mutating func move(_ position: Int, to gap: Int) {
        guard position != gap else { return }
        members[gap] = members[position]
        positions[members[gap].id] = gap
    }
}
