/// Tells one membership of a broker from all others, past ones included: numbers are never used twice.
@usableFromInline
typealias MemberID = UInt64

/// The subscribers of one channel: a dense array to walk through, and where in it each one is.
///
/// Joining and leaving take constant time: the last one moves into the place of the one that left. While a walk is under
/// way nobody moves: who leaves becomes a gap, who joins stands behind the end of the walk, and the gaps are closed when
/// the walk is done.
@usableFromInline
struct SubscriberList<P: Peer> {
    @usableFromInline
    struct Member {
        @usableFromInline let peer: P
        let id: MemberID
        @usableFromInline var isGone = false
        var isBehind = false
        /// How often it has drained; wraps.
        @usableFromInline var drains: UInt32 = 0
    }

    @usableFromInline
    private(set) var members: [Member] = []
    private var positions: [MemberID: Int] = [:]
    private var isWalking = false
    /// The number of subscribers that are behind.
    private(set) var behindCount = 0

    /// The number of subscribers.
    var count: Int { positions.count }

    func contains(_ id: MemberID) -> Bool { positions[id] != nil }

    mutating func insert(_ peer: P, id: MemberID) {
        let replaced = positions.updateValue(members.count, forKey: id)
        assert(replaced == nil, "member \(id) joined twice")
        members.append(Member(peer: peer, id: id))
    }

    /// Takes a subscriber out; false if it was not there (any more).
    mutating func remove(_ id: MemberID) -> Bool {
        guard let position = positions.removeValue(forKey: id) else { return false }
        catchUp(at: position)
        guard !isWalking else {
            members[position].isGone = true
            return true
        }
        members.swapAt(position, members.count - 1)
        members.removeLast()
        if position < members.count {
            positions[members[position].id] = position
        }
        return true
    }

    /// Takes all out, and returns them.
    mutating func removeAll() -> [P] {
        let peers = members.filter { !$0.isGone }.map(\.peer)
        positions = [:]
        behindCount = 0
        if isWalking {
            for position in members.indices {
                members[position].isGone = true
                members[position].isBehind = false
            }
        } else {
            members = []
        }
        return peers
    }

    /// Begins a walk over positions 0 up to the returned end. Must be followed by ``endWalk()``; does not nest.
    @usableFromInline
    mutating func beginWalk() -> Int {
        assert(!isWalking)
        isWalking = true
        return members.count
    }

    /// The subscriber at `position` of the walk, and how often it has drained, for ``fallBehind(at:drains:)``; or nil if it
    /// has left since.
    @inlinable
    func member(at position: Int) -> (peer: P, drains: UInt32)? {
        let member = members[position]
        return member.isGone ? nil : (member.peer, member.drains)
    }

    /// The subscriber at `position` of the walk is behind, unless it has left or drained since it had drained `drains`
    /// times: then nothing would ever tell that it has caught up. Whether it is.
    mutating func fallBehind(at position: Int, drains: UInt32) -> Bool {
        guard !members[position].isGone, members[position].drains == drains else { return false }
        if !members[position].isBehind {
            members[position].isBehind = true
            behindCount += 1
        }
        return true
    }

    /// The subscriber at `position` of the walk is not behind (any more).
    mutating func catchUp(at position: Int) {
        guard members[position].isBehind else { return }
        members[position].isBehind = false
        behindCount -= 1
    }

    /// A subscriber has drained; one that has left changes nothing.
    mutating func catchUp(_ id: MemberID) {
        guard let position = positions[id] else { return }
        members[position].drains &+= 1
        catchUp(at: position)
    }

    /// Ends a walk: closes the gaps, in time proportional to the list, and only if there are any.
    @usableFromInline
    mutating func endWalk() {
        assert(isWalking)
        isWalking = false
        guard positions.count < members.count else { return }
        members.removeAll(where: \.isGone)
        for (position, member) in members.enumerated() {
            positions[member.id] = position
        }
        assert(positions.count == members.count)
    }
}
