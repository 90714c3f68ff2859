@testable import PubSub
import Testing

@Suite struct PublisherListTests {
    /// A list of which the first `paused` were told to pause, in the order of their names.
    private func list(_ count: Int, paused: Int) -> PublisherList<RecordingPeer> {
        var list = PublisherList<RecordingPeer>()
        for index in 0..<count { list.insert(RecordingPeer(name: "\(index)"), id: MemberID(index)) }
        for _ in 0..<paused { _ = list.next(toPause: true) }
        return list
    }

    private func names(toPause: Bool, _ list: inout PublisherList<RecordingPeer>) -> Set<String> {
        var names: Set<String> = []
        while let peer = list.next(toPause: toPause) { #expect(names.insert(peer.name).inserted) }
        return names
    }

    @Test func anyRemovalKeepsBothSides() {
        for paused in 0...5 {
            for leaver in 0..<5 {
                var list = list(5, paused: paused)
                let wasPaused = list.remove(MemberID(leaver))
                let again = list.remove(MemberID(leaver))
                #expect(wasPaused == (leaver < paused) && again == nil)
                #expect(list.count == 4)
                var resumed = list
                #expect(names(toPause: false, &resumed) == Set((0..<paused).filter { $0 != leaver }.map { "\($0)" }))
                #expect(names(toPause: true, &list) == Set((paused..<5).filter { $0 != leaver }.map { "\($0)" }))
                for other in 0..<5 where other != leaver {
                    let wasPaused = list.remove(MemberID(other))
                    #expect(wasPaused == true, "all are paused now")
                }
                #expect(list.isEmpty && list.pausedCount == 0)
            }
        }
    }

    @Test func aNewPublisherReads() {
        var list = list(2, paused: 2)
        list.insert(RecordingPeer(name: "new"), id: 9)
        #expect(names(toPause: true, &list) == ["new"])
        #expect(names(toPause: false, &list) == ["0", "1", "new"])
    }
}
