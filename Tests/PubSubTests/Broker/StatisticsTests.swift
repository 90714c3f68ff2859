@testable import PubSub
import Testing
import UringReactor

/// What is counted as copied, dropped and delivered.
@Suite struct StatisticsTests {
    @Test func wholeMessagesCutMessagesAndBatchesAreNotCopied() {
        let fixture = Fixture()
        let subscribers = ["a", "b"].map { fixture.subscriber($0) }
        let publisher = fixture.publisher()
        publisher.say("one message\n")
        publisher.say("a batch\nof\nthree\n")
        publisher.say("cut ")
        publisher.say("once\nthen a few\nand cut")
        publisher.say(" again\n")
        for line in ["BYE bye\n", "B\n", "BY\r\n", "BYF\n", "BYEBYE\n"] {
            publisher.say(Bytes(line).prefix(1))
            publisher.say(Bytes(line).dropFirst())
        }
        let segment = Bytes([UInt8](repeating: 0x61, count: UnfinishedLine.smallPiece))
        for _ in 0..<10 { publisher.say(segment) }
        publisher.say("end\n")
        #expect(fixture.statistics.bytesCopied == 0)
        #expect(fixture.statistics.messagesPublished == 13 && fixture.statistics.deliveries == 26)
        for subscriber in subscribers {
            #expect(subscriber.peer.record.pieceCounts == [1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 11])
        }
        publisher.say("B")
        publisher.say("YE\n")
        #expect(fixture.statistics.bytesCopied == 0 && publisher.isClosed)
    }

    @Test func whatIsCopiedIsCounted() {
        let fixture = Fixture(limits: PubSubLimits(heldSegments: 1))
        let publishers = ["1", "2"].map { fixture.publisher($0) }
        let segment = Bytes([UInt8](repeating: 0x61, count: 5000))
        for publisher in publishers { publisher.say(segment) }
        #expect(fixture.statistics.bytesCopied == 5000, "only one may be held")
        publishers[1].say("\n")
        publishers[0].say("small")
        #expect(fixture.statistics.bytesCopied == 5000 + 5)
        publishers[0].say("\n")
        #expect(fixture.statistics.bytesCopied == 5000 + 5 + 5, "gathered, then made a piece")
    }

    @Test func commandsAreNoMessages() {
        let fixture = Fixture()
        let client = fixture.client("client")
        for byte in "PUBLISH ch\r\n".utf8 { client.say(Bytes([byte])) }
        #expect(fixture.statistics.bytesCopied == 0)
    }

    @Test func onlyWhatIsTakenIsDelivered() {
        let fixture = Fixture()
        let outcomes: [SendOutcome] = [.queued, .backlogged, .dropped, .refused]
        for outcome in outcomes { fixture.subscriber("\(outcome)").peer.record.answer = { outcome } }
        fixture.publisher().say("1\n2\n3\n")
        #expect(fixture.statistics.deliveries == 6 && fixture.statistics.messagesDropped == 3)
        #expect(fixture.statistics.bytesOut == 5 * 4 + 2 * 6)
    }

    @Test func aMessageInPiecesIsDroppedAsAWhole() {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        subscriber.peer.answer(.queued, .dropped)
        publisher.say("1\nbeg")
        publisher.say("in\n3\nnext ")
        publisher.say("one\n")
        #expect(subscriber.messages == "1\nnext one\n")
        #expect(fixture.statistics.messagesDropped == 2 && fixture.statistics.deliveries == 2)
    }

    @Test func repliesThatAreNotTakenAreNotCounted() {
        let fixture = Fixture()
        let client = fixture.client("client")
        client.peer.answer(.refused)
        client.say("SUBSCRIBE ch\n")
        #expect(fixture.statistics.bytesOut == 0)
    }

    @Test func piecesOfNestedDeliveriesDoNotMix() {
        let fixture = Fixture()
        let subscribers = ["ch", "other"].map { fixture.subscriber("of \($0)", to: $0) }
        let publishers = ["ch", "other"].map { fixture.publisher(to: $0) }
        subscribers[0].peer.record.onSend = { _ in
            publishers[1].say("nes")
            publishers[1].say("ted\n")
        }
        let second = fixture.subscriber("second")
        for _ in 0..<3 {
            publishers[0].say("beg")
            publishers[0].say("in\n")
        }
        #expect(subscribers[0].messages == "begin\nbegin\nbegin\n" && second.messages == "begin\nbegin\nbegin\n")
        #expect(subscribers[1].messages == "nested\nnested\nnested\n")
    }
}
