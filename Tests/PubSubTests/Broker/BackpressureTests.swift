@testable import PubSub
import Testing
import UringReactor

/// Publishers that wait for slow subscribers, and never for good.
@Suite struct BackpressureTests {
    private let fixture = Fixture(pausesPublishers: true)

    /// What was reported about pauses.
    private var pauses: [String] {
        fixture.events.map(\.description).filter { $0.hasSuffix("behind") || $0.hasSuffix("resumed") }
    }

    private func isPaused(_ publisher: Client) -> Bool {
        #expect(publisher.session.isPaused == publisher.peer.record.isPaused && publisher.peer.record.toldTwice == 0)
        return publisher.peer.record.isPaused
    }

    @Test func withoutTheOptionNobodyWaits() {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        subscriber.peer.answer(.backlogged)
        publisher.say("1\n")
        #expect(!isPaused(publisher) && fixture.statistics.publisherPauses == 0 && fixture.statistics.deliveries == 1)
    }

    @Test func allPublishersOfTheChannelWaitUntilTheLastSubscriberHasDrained() {
        let subscribers = ["a", "b", "c"].map { fixture.subscriber($0) }
        let publishers = ["1", "2", "3"].map { fixture.publisher($0) }
        let elsewhere = fixture.publisher("elsewhere", to: "other")
        subscribers[0].peer.answer(.backlogged)
        subscribers[2].peer.answer(.backlogged)
        publishers[1].say("x\n")
        #expect(publishers.allSatisfy(isPaused) && !isPaused(elsewhere))
        subscribers[1].drain()
        subscribers[0].drain()
        subscribers[0].drain()
        #expect(publishers.allSatisfy(isPaused))
        subscribers[2].drain()
        #expect(!publishers.contains(where: isPaused))
        #expect(pauses == ["publishers of ch paused: a is behind", "publishers of ch resumed"])
        #expect(fixture.statistics.publisherPauses == 1)
        #expect(publishers.allSatisfy { $0.peer.record.pauseCount == 1 && $0.peer.record.resumeCount == 1 })
    }

    @Test func queuedDoesNotMeanCaughtUp() {
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        subscriber.peer.answer(.backlogged, .queued, .backlogged, .dropped)
        for _ in 0..<4 {
            publisher.say("what came before the pause\n")
            #expect(isPaused(publisher))
        }
        subscriber.drain()
        #expect(!isPaused(publisher) && fixture.statistics.publisherPauses == 1)
        #expect(fixture.statistics.deliveries == 3 && fixture.statistics.messagesDropped == 1)
    }

    @Test func onlyADeliveryPutsBehind() {
        let publisher = fixture.publisher()
        let subscriber = fixture.client("subscriber")
        subscriber.peer.answer(.backlogged, .dropped)
        subscriber.say("SUBSCRIBE ch\n")
        publisher.say("1\n")
        #expect(!isPaused(publisher))
        subscriber.drain()
        publisher.drain()
        fixture.client("undecided").drain()
        #expect(pauses.isEmpty)
    }

    @Test(arguments: ["BYE\n", "nonsense\n", nil])
    func aSubscriberBehindThatLeavesIsNotWaitedFor(lastWords: String?) {
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        subscriber.peer.answer(.backlogged)
        publisher.say("1\n")
        #expect(isPaused(publisher))
        if let lastWords { subscriber.say(lastWords) } else { subscriber.leave(.failed("slow consumer")) }
        #expect(!isPaused(publisher))
        subscriber.drain()
        #expect(pauses.count == 2)
    }

    @Test func aSubscriberThatRefusesIsNotWaitedFor() {
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        subscriber.peer.answer(.backlogged, .refused)
        publisher.say("1\n")
        publisher.say("2\n")
        #expect(!isPaused(publisher) && subscriber.messages == "1\n")
        #expect(fixture.statistics.deliveries == 1 && fixture.statistics.messagesDropped == 0)
        #expect(fixture.statistics.bytesOut == 4 + 4 + 2)
    }

    @Test func aPublisherThatJoinsIsPausedAfterItsOK() {
        let subscriber = fixture.subscriber()
        fixture.publisher("first").say("")
        subscriber.peer.answer(.backlogged)
        fixture.publisher("second").say("1\n")
        let late = fixture.client("late")
        late.peer.record.onPause = { _ in #expect(late.received == "OK\r\n") }
        late.say("PUBLISH ch\nalready on its way\n")
        #expect(isPaused(late) && subscriber.messages == "1\nalready on its way\n")
        subscriber.drain()
        #expect(!isPaused(late))
    }

    @Test func aPublisherThatLeavesIsResumedAndTheOthersWaitOn() {
        let subscriber = fixture.subscriber()
        let publishers = ["1", "2", "3"].map { fixture.publisher($0) }
        subscriber.peer.answer(.backlogged)
        publishers[0].say("x\nBYE\n")
        #expect(publishers[0].isClosed && !isPaused(publishers[0]))
        publishers[1].leave()
        #expect(!isPaused(publishers[1]) && isPaused(publishers[2]))
        publishers[2].leave()
        let successor = fixture.publisher("successor")
        #expect(isPaused(successor))
        subscriber.drain()
        #expect(!isPaused(successor) && pauses.count == 2)
    }

    @Test func aChannelThatCeasesToExistTakesItsPauseWithIt() throws {
        let fixture = Fixture(onPublisherExit: .bye, pausesPublishers: true)
        let subscribers = ["a", "b"].map { fixture.subscriber($0) }
        let publisher = fixture.publisher()
        for subscriber in subscribers { subscriber.peer.answer(.backlogged) }
        let name = try channel("ch")
        var successor: Client?
        subscribers[0].peer.record.onSend = { count in
            if count == 3 { successor = fixture.publisher("successor") }
        }
        publisher.say("x\nBYE\n")
        #expect(subscribers.allSatisfy(\.isClosed) && !isPaused(publisher))
        let next = try #require(successor)
        #expect(!isPaused(next) && next.peer.record.pauseCount == 0 && fixture.statistics.publisherPauses == 1)
        let resumed = try #require(fixture.events.firstIndex(of: .publishersResumed(name)))
        let joined = try #require(fixture.events.firstIndex(of: .joined(next.peer, .publisher(of: name))))
        #expect(resumed < joined, "the end of the old channel comes before the beginning of the new one")
        for subscriber in subscribers {
            subscriber.drain()
            #expect(subscriber.session.isEnded)
        }
        let subscriber = fixture.subscriber("c")
        next.say("hello\n")
        #expect(subscriber.messages == "hello\n")
    }

    @Test func nestedPublishesCountToo() {
        let subscribers = ["a", "b"].map { fixture.subscriber($0) }
        let publishers = ["1", "2"].map { fixture.publisher($0) }
        subscribers[0].peer.record.onSend = { count in
            if count == 2 { publishers[1].say("nested\n") }
        }
        subscribers[1].peer.answer(.queued, .backlogged)
        publishers[0].say("outer\n")
        #expect(subscribers.allSatisfy { $0.messages == "outer\nnested\n" })
        #expect(publishers.allSatisfy(isPaused))
        subscribers[1].drain()
        #expect(!publishers.contains(where: isPaused))
    }

    /// `drained` comes before the answer that it follows: nobody would tell a second time.
    @Test func aSubscriberThatDrainsWithinItsSendIsNotBehind() {
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        subscriber.peer.answer(.backlogged, .backlogged)
        subscriber.peer.record.onSend = { count in
            if count == 2 { subscriber.drain() }
        }
        publisher.say("1\n")
        #expect(!isPaused(publisher))
        publisher.say("2\n")
        #expect(isPaused(publisher))
        subscriber.drain()
        #expect(!isPaused(publisher))
    }

    @Test(arguments: 0..<3)
    func subscribersThatLeaveDuringTheWalkAreNotWaitedFor(actor: Int) {
        let subscribers = ["a", "b", "c"].map { fixture.subscriber($0) }
        let publisher = fixture.publisher()
        for subscriber in subscribers { subscriber.peer.answer(.backlogged) }
        subscribers[actor].peer.record.onSend = { _ in
            for subscriber in subscribers { subscriber.leave() }
        }
        publisher.say("x\n")
        #expect(!isPaused(publisher))
        #expect(pauses.count == (actor == 0 ? 0 : 2))
    }

    @Test func whatPublishersDoWhileTheyAreToldIsHeard() {
        let subscriber = fixture.subscriber()
        let publishers = (0..<5).map { fixture.publisher("\($0)") }
        var joined: [Client] = []
        publishers[1].peer.record.onPause = { isPause in
            guard isPause else { return }
            joined.append(fixture.publisher("joined"))
            publishers[0].leave()
            publishers[4].leave()
            subscriber.drain()
            #expect(publishers[1].peer.record.isPaused, "told otherwise only when this call is over")
        }
        subscriber.peer.answer(.backlogged)
        publishers[2].say("x\n")
        #expect(!(publishers + joined).contains(where: isPaused))
        #expect(pauses.count == 2)
        #expect(publishers[3].peer.record.pauseCount == 0)
    }

    @Test func eventHandlersMayEndThePauseTheyHearOf() {
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        subscriber.peer.answer(.backlogged)
        fixture.onEvent = { event in
            if case .publishersPaused = event { subscriber.leave() }
        }
        publisher.say("x\n")
        #expect(!isPaused(publisher))
        #expect(pauses.last == "publishers of ch resumed" && pauses.count == 2)
    }
}
