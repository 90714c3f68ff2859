@testable import PubSub
import Testing
import UringReactor

@Suite struct BrokerTests {
    @Test func everySubscriberOfTheChannelGetsEveryMessageInOrder() {
        let fixture = Fixture()
        let first = fixture.subscriber("first")
        let elsewhere = fixture.subscriber("elsewhere", to: "other")
        let publisher = fixture.publisher()
        publisher.say("1\n")
        let second = fixture.subscriber("second")
        let another = fixture.publisher("another")
        publisher.say("2\n")
        another.say("3\n")
        publisher.say("4\n")
        #expect(first.messages == "1\n2\n3\n4\n")
        #expect(second.messages == "2\n3\n4\n")
        #expect(elsewhere.messages.isEmpty)
        #expect(publisher.messages.isEmpty)
    }

    @Test func publishingToNobodyIsFine() {
        let fixture = Fixture()
        let publisher = fixture.publisher()
        publisher.say("1\n2\n")
        #expect(!publisher.isClosed)
        #expect(fixture.statistics.messagesPublished == 2 && fixture.statistics.deliveries == 0)
        #expect(fixture.statistics.bytesOut == 4)
    }

    // A peer that drops messages must tell them from answers: who misses its OK takes a message for the answer.
    @Test func answersAreRepliesAndMessagesAreNot() {
        let fixture = Fixture(onPublisherExit: .bye)
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        publisher.say("message\nBYE\n")
        fixture.client("stranger").say("what?\n")
        #expect(subscriber.peer.record.replies == ["OK\r\n", "BYE\r\n"])
        #expect(subscriber.received == "OK\r\nmessage\nBYE\r\n")
        #expect(publisher.peer.record.replies == ["OK\r\n"])
    }

    @Test func aSubscriberMayComeFirst() {
        let fixture = Fixture(onPublisherExit: .bye)
        let subscriber = fixture.subscriber()
        #expect(subscriber.received == "OK\r\n" && !subscriber.isClosed)
        fixture.publisher().say("hello\n")
        #expect(subscriber.messages == "hello\n")
    }

    @Test(arguments: [Departure.endOfStream, .failed("connection reset by peer")])
    func aSubscriberThatLeavesDisturbsNobody(departure: Departure) throws {
        let fixture = Fixture()
        let name = try channel("ch")
        let subscribers = (0..<4).map { fixture.subscriber("\($0)") }
        let publisher = fixture.publisher()
        publisher.say("1\n")
        subscribers[1].leave(departure)
        #expect(fixture.broker.subscriberCount(of: name) == 3)
        #expect(fixture.events.last == .left(subscribers[1].peer, .subscriber(of: name), departure))
        publisher.say("2\n")
        subscribers[0].say("BYE\r\n")
        publisher.say("3\n")
        #expect(subscribers.map(\.messages) == ["1\n2\n", "1\n", "1\n2\n3\n", "1\n2\n3\n"])
        #expect(!subscribers[2].isClosed && !publisher.isClosed)
    }

    /// The steps of the contract's scenario, as far as there are no sockets in them.
    @Test func theScenario() throws {
        let fixture = Fixture()
        let name = try channel("ch")
        let publisher = fixture.publisher()
        let first = fixture.subscriber("first")
        let second = fixture.subscriber("second")
        publisher.say("a\n")
        #expect(first.messages == "a\n" && second.messages == "a\n")
        first.say("BYE\n")
        #expect(fixture.broker.subscriberCount(of: name) == 1)
        publisher.say("b\n")
        #expect(first.messages == "a\n" && second.messages == "a\nb\n")
        second.say("BYE\n")
        #expect(fixture.broker.subscriberCount(of: name) == 0)
        let before = fixture.statistics
        publisher.say("c\n")
        #expect(fixture.statistics.deliveries == before.deliveries && fixture.statistics.bytesOut == before.bytesOut)
        #expect(fixture.statistics.messagesPublished == 3)
    }

    @Test func keepKeepsSubscribers() {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        fixture.publisher().say("1\nBYE\n")
        #expect(!subscriber.isClosed)
        fixture.publisher().say("2\n")
        #expect(subscriber.messages == "1\n2\n")
    }

    @Test func byeDismissesWhenTheLastPublisherLeaves() throws {
        for lastWords in ["BYE\r\n", nil] {
            let fixture = Fixture(onPublisherExit: .bye)
            let name = try channel("ch")
            let subscribers = [fixture.subscriber("a"), fixture.subscriber("b")]
            let elsewhere = fixture.subscriber("elsewhere", to: "other")
            let publishers = [fixture.publisher("1"), fixture.publisher("2")]
            publishers[0].say("x\n")
            publishers[0].leave()
            #expect(fixture.broker.publisherCount(of: name) == 1 && !subscribers[0].isClosed)
            if let lastWords { publishers[1].say("y\n\(lastWords)") } else { publishers[1].leave() }
            let expected = "x\n" + (lastWords == nil ? "" : "y\n") + "BYE\r\n"
            for subscriber in subscribers {
                #expect(subscriber.messages == expected && subscriber.peer.record.closeCount == 1)
                subscriber.say("BYE\r\n")
                subscriber.leave()
                #expect(subscriber.session.isEnded && subscriber.peer.record.closeCount == 1)
                let departures = fixture.events.filter { if case .left(subscriber.peer, _, _) = $0 { true } else { false } }
                #expect(departures == [.left(subscriber.peer, .subscriber(of: name), .dismissed)])
            }
            #expect(!elsewhere.isClosed)
            #expect(fixture.broker.channelNames == [try channel("other")])
            #expect(fixture.statistics.subscribers == 1 && fixture.statistics.publishers == 0)
        }
    }

    @Test func aDismissedSessionDoesNotDisturbANewChannelOfTheName() throws {
        let fixture = Fixture(onPublisherExit: .bye)
        let old = fixture.subscriber("old")
        fixture.publisher().leave()
        let new = fixture.subscriber("new")
        let publisher = fixture.publisher()
        old.leave()
        publisher.say("1\n")
        #expect(new.messages == "1\n" && old.messages == "BYE\r\n")
        #expect(fixture.broker.subscriberCount(of: try channel("ch")) == 1)
    }

    @Test func desertedChannelsAreDropped() {
        let fixture = Fixture()
        for index in 0..<100 {
            let publisher = fixture.publisher(to: "channel\(index)")
            let subscriber = fixture.subscriber(to: "channel\(index)")
            if index % 2 == 0 { publisher.leave(); subscriber.leave() } else { subscriber.leave(); publisher.leave() }
        }
        #expect(fixture.broker.channels.isEmpty && fixture.statistics.channels == 0)
    }

    @Test func limitsAreErrors() throws {
        let fixture = Fixture(limits: PubSubLimits(channels: 2, subscribersPerChannel: 2))
        let first = fixture.subscriber("1", to: "a")
        _ = fixture.subscriber("2", to: "a")
        let third = fixture.subscriber("3", to: "a")
        #expect(third.received == "ERROR no more than 2 subscribers of one channel\r\n" && third.isClosed)
        _ = fixture.publisher(to: "b")
        let fourth = fixture.publisher(to: "c")
        #expect(fourth.received == "ERROR no more than 2 channels\r\n" && fourth.isClosed)
        #expect(fixture.events.last == .left(fourth.peer, .undecided, .refused(.tooManyChannels(limit: 2))))
        _ = fixture.publisher(to: "a")
        first.leave()
        #expect(fixture.subscriber("5", to: "a").received == "OK\r\n")
        #expect(fixture.statistics.errors == 2)
    }

    @Test func statisticsAddUp() throws {
        let fixture = Fixture()
        _ = fixture.subscriber("a")
        _ = fixture.subscriber("b")
        let publisher = fixture.publisher()
        publisher.say("12\n345\r\n6")
        var expected = BrokerStatistics()
        expected.messagesPublished = 2
        expected.deliveries = 4
        expected.bytesIn = UInt64(2 * "SUBSCRIBE ch\r\n".utf8.count + "PUBLISH ch\r\n".utf8.count + 9)
        expected.bytesOut = UInt64(3 * 4 + 2 * 8)
        expected.subscribers = 2
        expected.publishers = 1
        expected.channels = 1
        expected.segmentsHeld = 1
        #expect(fixture.statistics == expected)
        publisher.leave()
        expected.publishers = 0
        expected.segmentsHeld = 0
        expected.fragmentsDropped = 1
        #expect(fixture.statistics == expected)
    }

    @Test func eventsReadWell() throws {
        let fixture = Fixture()
        let client = fixture.subscriber("peer 7", to: "news")
        client.say("BYE\n")
        #expect(fixture.events.map(\.description) == [
            "peer 7 joined: subscriber of news", "peer 7 left: subscriber of news, said BYE",
        ])
    }
}
