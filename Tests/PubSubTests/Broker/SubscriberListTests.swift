@testable import PubSub
import Testing

@Suite struct SubscriberListTests {
    private func list(_ count: Int) -> (SubscriberList<RecordingPeer>, [RecordingPeer]) {
        var list = SubscriberList<RecordingPeer>()
        let peers = (0..<count).map { RecordingPeer(name: "\($0)") }
        for (index, peer) in peers.enumerated() { list.insert(peer, id: MemberID(index)) }
        return (list, peers)
    }

    private func remove(_ ids: [MemberID], from list: inout SubscriberList<RecordingPeer>) -> [Bool] {
        ids.map { list.remove($0) }
    }

    private func walk(_ list: inout SubscriberList<RecordingPeer>) -> [String] {
        let end = list.beginWalk()
        defer { list.endWalk() }
        return (0..<end).compactMap { list.member(at: $0)?.peer.name }
    }

    @Test func anyOrderOfRemovalLeavesTheOthers() {
        for first in 0..<4 {
            for second in 0..<4 where second != first {
                var (list, _) = list(4)
                let ids = [MemberID(first), MemberID(second), MemberID(first)]
                #expect(remove(ids, from: &list) == [true, true, false])
                let left = (0..<4).filter { $0 != first && $0 != second }
                #expect(Set(walk(&list)) == Set(left.map { "\($0)" }))
                #expect(remove(left.map { MemberID($0) }, from: &list) == [true, true])
                #expect(list.count == 0)
                #expect(walk(&list).isEmpty)
            }
        }
    }

    @Test func nobodyMovesDuringAWalk() {
        var (list, _) = list(5)
        let end = list.beginWalk()
        #expect(remove([1, 4, 1], from: &list) == [true, true, false])
        list.insert(RecordingPeer(name: "new"), id: 9)
        #expect((0..<end).map { list.member(at: $0)?.peer.name } == ["0", nil, "2", "3", nil])
        #expect(list.count == 4 && list.contains(9) && !list.contains(1))
        #expect(remove([9], from: &list) == [true])
        list.insert(RecordingPeer(name: "newer"), id: 10)
        list.endWalk()
        #expect(walk(&list) == ["0", "2", "3", "newer"])
        #expect(remove([10, 2, 3, 0], from: &list) == [true, true, true, true])
        #expect(list.count == 0)
    }

    @Test func allMayGoDuringAWalk() {
        var (list, _) = list(3)
        let end = list.beginWalk()
        #expect(remove([0], from: &list) == [true])
        let removed = list.removeAll()
        #expect(removed.map(\.name) == ["1", "2"])
        #expect((0..<end).allSatisfy { list.member(at: $0) == nil })
        list.insert(RecordingPeer(name: "new"), id: 9)
        list.endWalk()
        #expect(walk(&list) == ["new"])
    }
}
