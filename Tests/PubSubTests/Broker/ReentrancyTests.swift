@testable import PubSub
import Testing
import UringReactor

/// Peers and event handlers that call back into the broker in the middle of what it does.
@Suite struct ReentrancyTests {
    /// While subscriber `actor` gets a message, `leaver` leaves: it gets nothing more, all others get everything once.
    @Test func anyoneMayLeaveDuringADelivery() {
        for actor in 0..<4 {
            for leaver in 0..<4 {
                let fixture = Fixture()
                let subscribers = (0..<4).map { fixture.subscriber("\($0)") }
                let publisher = fixture.publisher()
                subscribers[actor].peer.record.onSend = { count in
                    if count == 2 { subscribers[leaver].leave(.failed("too slow")) }
                }
                publisher.say("1\n")
                publisher.say("2\n")
                for (index, subscriber) in subscribers.enumerated() where index != leaver {
                    #expect(subscriber.messages == "1\n2\n", "\(leaver) left during the send to \(actor)")
                }
                #expect(subscribers[leaver].messages == (leaver <= actor ? "1\n" : ""))
                #expect(fixture.statistics.subscribers == 3)
                #expect(fixture.statistics.deliveries == (leaver <= actor ? 7 : 6))
            }
        }
    }

    @Test func allMayLeaveDuringADelivery() throws {
        let fixture = Fixture()
        let subscribers = (0..<5).map { fixture.subscriber("\($0)") }
        let publisher = fixture.publisher()
        subscribers[2].peer.record.onSend = { _ in
            for subscriber in subscribers { subscriber.leave() }
        }
        publisher.say("1\n")
        #expect(subscribers.map(\.messages) == ["1\n", "1\n", "1\n", "", ""])
        publisher.say("2\n")
        #expect(subscribers[0].messages == "1\n")
        #expect(fixture.broker.subscriberCount(of: try channel("ch")) == 0)
    }

    @Test func whoLeavesDuringAMessageInPiecesHasAllOfItOrNothing() {
        let fixture = Fixture()
        let subscribers = ["a", "b", "c"].map { fixture.subscriber($0) }
        let publisher = fixture.publisher()
        subscribers[0].peer.record.onSend = { _ in
            subscribers[0].leave(.failed("too slow"))
            subscribers[2].leave(.failed("too slow"))
        }
        publisher.say("begin")
        publisher.say("end\n")
        #expect(subscribers.map(\.messages) == ["beginend\n", "beginend\n", ""])
        #expect(fixture.statistics.deliveries == 2)
        #expect(fixture.statistics.bytesOut == UInt64(4 * 4 + 2 * 9))
    }

    @Test func whoJoinsDuringADeliveryGetsTheNextOne() {
        let fixture = Fixture()
        let first = fixture.subscriber("first")
        let second = fixture.subscriber("second")
        let publisher = fixture.publisher()
        let late = fixture.client("late")
        first.peer.record.onSend = { count in
            guard count == 2 else { return }
            late.say("SUBSCRIBE ch\n")
            first.leave()
        }
        publisher.say("1\n")
        #expect(late.received == "OK\r\n")
        publisher.say("2\n")
        #expect(late.received == "OK\r\n2\n")
        #expect(second.messages == "1\n2\n" && first.messages == "1\n")
    }

    @Test func whatIsPublishedDuringADeliveryFollowsItForAll() {
        let fixture = Fixture()
        let subscribers = (0..<3).map { fixture.subscriber("\($0)") }
        let publisher = fixture.publisher("publisher")
        let echo = fixture.publisher("echo")
        subscribers[0].peer.record.onSend = { count in
            if count == 2 { echo.say("echo\n") }
        }
        publisher.say("begin")
        publisher.say("end\nmore\n")
        for subscriber in subscribers { #expect(subscriber.messages == "beginend\nmore\necho\n") }
        #expect(fixture.statistics.messagesPublished == 3 && fixture.statistics.deliveries == 9)
        publisher.say("again\n")
        for subscriber in subscribers { #expect(subscriber.messages == "beginend\nmore\necho\nagain\n") }
    }

    @Test func anotherPublisherMayLeaveDuringADelivery() {
        let fixture = Fixture(onPublisherExit: .bye)
        let subscribers = [fixture.subscriber("a"), fixture.subscriber("b")]
        let publisher = fixture.publisher("publisher")
        let other = fixture.publisher("other")
        subscribers[0].peer.record.onSend = { _ in other.say("last\nBYE\n") }
        publisher.say("1\n")
        #expect(other.isClosed && !subscribers[0].isClosed)
        publisher.say("BYE\n")
        for subscriber in subscribers { #expect(subscriber.messages == "1\nlast\nBYE\r\n" && subscriber.isClosed) }
    }

    @Test func subscribersMayLeaveWhileTheyAreDismissed() {
        let fixture = Fixture(onPublisherExit: .bye)
        let subscribers = (0..<3).map { fixture.subscriber("\($0)") }
        let publisher = fixture.publisher()
        subscribers[0].peer.record.onSend = { _ in
            for subscriber in subscribers { subscriber.leave() }
        }
        publisher.leave()
        for subscriber in subscribers { #expect(subscriber.messages == "BYE\r\n" && subscriber.isClosed) }
        #expect(fixture.statistics.subscribers == 0 && fixture.statistics.channels == 0)
        #expect(fixture.events.filter { if case .left(_, _, .dismissed) = $0 { true } else { false } }.count == 3)
    }

    @Test func aDismissalMayOpenTheChannelAnew() throws {
        let fixture = Fixture(onPublisherExit: .bye)
        let subscriber = fixture.subscriber("old")
        let publisher = fixture.publisher()
        let new = fixture.client("new")
        subscriber.peer.record.onSend = { _ in new.say("SUBSCRIBE ch\n") }
        publisher.leave()
        #expect(new.received == "OK\r\n" && !new.isClosed)
        #expect(fixture.broker.subscriberCount(of: try channel("ch")) == 1)
        fixture.publisher().say("hello\n")
        #expect(new.messages == "hello\n")
    }

    @Test func aPublisherMayJoinWhenTheLastOneIsReportedGone() {
        let fixture = Fixture(onPublisherExit: .bye)
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher("first")
        let next = fixture.client("next")
        fixture.onEvent = { event in
            if case .left(publisher.peer, _, _) = event { next.say("PUBLISH ch\n") }
        }
        publisher.leave()
        #expect(!subscriber.isClosed)
        next.say("hello\n")
        #expect(subscriber.messages == "hello\n")
    }

    /// The channel is deserted twice over: dropped by the inner departure, and not its successor by the outer one.
    @Test func aChannelOpenedAnewWhileTheOldOneIsLeftStays() throws {
        let fixture = Fixture()
        let subscriber = fixture.subscriber("old")
        let visitor = fixture.client("visitor")
        let successor = fixture.client("successor")
        fixture.onEvent = { event in
            guard case .left(subscriber.peer, _, _) = event else { return }
            visitor.say("SUBSCRIBE ch\nBYE\n")
            successor.say("SUBSCRIBE ch\n")
        }
        subscriber.leave()
        #expect(fixture.broker.subscriberCount(of: try channel("ch")) == 1)
        #expect(fixture.statistics.channels == 1)
        fixture.publisher().say("hello\n")
        #expect(successor.messages == "hello\n")
    }

    @Test func okComesBeforeAnyMessage() {
        let fixture = Fixture()
        let publisher = fixture.publisher()
        fixture.onEvent = { event in
            if case .joined = event { publisher.say("welcome\n") }
        }
        #expect(fixture.subscriber().received == "OK\r\nwelcome\n")
    }
}
