@testable import PubSub
import Testing
import UringReactor

/// The rules of the protocol, as one connection sees them.
@Suite struct SessionTests {
    @Test(arguments: ["\n", "\r\n"])
    func commandsEndInCRLFOrLF(ending: String) {
        let fixture = Fixture()
        let subscriber = fixture.client("subscriber")
        subscriber.say("SUBSCRIBE ch\(ending)")
        let publisher = fixture.client("publisher")
        publisher.say("PUBLISH ch\(ending)")
        #expect(subscriber.received == "OK\r\n" && publisher.received == "OK\r\n")
        publisher.say("hello\(ending)")
        #expect(subscriber.messages == "hello\(ending)")
        publisher.say("BYE\(ending)")
        subscriber.say("BYE\(ending)")
        #expect(publisher.isClosed && subscriber.isClosed)
        #expect(subscriber.messages == "hello\(ending)")
        #expect(publisher.received == "OK\r\n")
    }

    @Test func commandAndMessagesInOneSegment() {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        let publisher = fixture.client("publisher")
        publisher.say("PUBLISH ch\r\none\ntwo\r\n\nBYE\r\nthree\n")
        #expect(subscriber.messages == "one\ntwo\r\n\n")
        #expect(publisher.received == "OK\r\n" && publisher.isClosed && publisher.session.isEnded)
        #expect(fixture.statistics.messagesPublished == 3)
    }

    @Test func subscribeAndByeInOneSegment() {
        let fixture = Fixture()
        let subscriber = fixture.client("subscriber")
        subscriber.say("SUBSCRIBE ch\nBYE\n")
        #expect(subscriber.received == "OK\r\n" && subscriber.isClosed)
        #expect(fixture.broker.channelNames.isEmpty)
    }

    @Test(arguments: [
        "BYEx\n", " BYE\n", "bye\n", "BYE \r\n", "BYE\r\r\n", "\n", "\r\n", "\u{0}\n", "OK\r\n", "ERROR no\r\n",
        "PUBLISH other\r\n", "SUBSCRIBE ch\r\n",
    ])
    func anyLineButByeIsAMessage(line: String) {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        publisher.say(line)
        for byte in line.utf8 { publisher.say(Bytes([byte])) }
        #expect(subscriber.messages == line + line)
        #expect(!publisher.isClosed)
        #expect(fixture.statistics.messagesPublished == 2 && fixture.statistics.deliveries == 2)
    }

    @Test func messagesHoldAnyByteButLF() {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        let message = Bytes((0...255).map { UInt8($0) }.filter { $0 != 0x0a } + [0x0a])
        publisher.say(message)
        #expect(subscriber.peer.record.sent.last == message)
    }

    @Test(arguments: ["BYE\n", "BYE\r\n"])
    func undecidedMayLeave(line: String) {
        let fixture = Fixture()
        let client = fixture.client("client")
        for byte in line.utf8 { client.say(Bytes([byte])) }
        #expect(client.received.isEmpty && client.isClosed && client.session.isEnded)
        #expect(fixture.events == [.left(client.peer, .undecided, .bye)])
        #expect(fixture.statistics.errors == 0)
    }

    @Test func byeCutAnywhereIsBye() {
        let line = Array("BYE\r\n".utf8)
        for first in 0...line.count {
            for second in first...line.count {
                let fixture = Fixture()
                let subscriber = fixture.subscriber()
                let publisher = fixture.publisher()
                for part in [line[..<first], line[first..<second], line[second...]] { publisher.say(Bytes(part)) }
                #expect(publisher.isClosed && subscriber.messages.isEmpty, "cut at \(first) and \(second)")
                #expect(fixture.statistics.fragmentsDropped == 0)
            }
        }
    }

    @Test(arguments: ["HELLO\r\n", "\r\n", "publish ch\n", "PUBLISH\n", "PUBLISH a b\n", "SUBSCRIBE \u{1}\n"])
    func anythingElseIsAnError(line: String) {
        let fixture = Fixture()
        let client = fixture.client("client")
        client.say(line + "PUBLISH ch\n")
        #expect(client.received.hasPrefix("ERROR ") && client.received.hasSuffix("\r\n"))
        #expect(client.received.utf8.filter { $0 == 0x0a }.count == 1)
        #expect(client.isClosed && client.session.isEnded)
        #expect(fixture.statistics.errors == 1 && fixture.broker.channelNames.isEmpty)
    }

    @Test(arguments: ["HELLO\n", "\n", "bye\n", "SUBSCRIBE ch\n", "PUBLISH ch\n"])
    func aSubscriberMayOnlyLeave(line: String) throws {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        publisher.say("one\n")
        subscriber.say(line)
        publisher.say("two\n")
        let error = ProtocolError.subscriberMayOnlyLeave(echo: String(line.dropLast()))
        #expect(subscriber.messages == "one\nERROR \(error.reason)\r\n")
        #expect(subscriber.isClosed)
        #expect(fixture.events.last == .left(subscriber.peer, .subscriber(of: try channel("ch")), .refused(error)))
    }

    @Test func commandLineLimitIsExact() {
        let fixture = Fixture()
        let longest = fixture.client("longest")
        longest.say("SUBSCRIBE \(String(repeating: "c", count: 255))\r\n")
        #expect(longest.received == "OK\r\n")
        let tooLong = fixture.client("too long")
        for byte in String(repeating: "x", count: 265).utf8 { tooLong.say(Bytes([byte])) }
        #expect(tooLong.received.isEmpty && tooLong.session.lines.unfinishedCount == 265)
        tooLong.say("x")
        #expect(tooLong.received == "ERROR line longer than 265 bytes\r\n" && tooLong.isClosed)
        #expect(tooLong.session.lines.unfinishedCount == 0)
    }

    @Test(arguments: ["\n", "\r\n"])
    func messageLimitIsExact(ending: String) {
        for (size, fits) in [(999, true), (1000, true), (1001, false)] {
            for cut in [0, 1, 500, 998, 999, 1000, 1001] {
                let fixture = Fixture(limits: PubSubLimits(message: 1000))
                let subscriber = fixture.subscriber()
                let publisher = fixture.publisher()
                let message = String(repeating: "m", count: size) + ending
                publisher.say("before\n")
                publisher.say(Bytes(message).prefix(cut))
                publisher.say(Bytes(message).dropFirst(cut))
                #expect(publisher.isClosed == !fits, "\(size) bytes cut at \(cut)")
                #expect(subscriber.messages == "before\n" + (fits ? message : ""), "\(size) bytes cut at \(cut)")
                #expect(fits || publisher.messages == "ERROR line longer than 1000 bytes\r\n")
                #expect(fixture.statistics.fragmentsDropped == 0)
            }
        }
    }

    @Test func theDefaultLimitIs4MiB() {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        let half = Bytes([UInt8](repeating: 0x6d, count: 2 * 1024 * 1024))
        publisher.say(half)
        publisher.say(half)
        publisher.say("\r\n")
        #expect(subscriber.peer.record.sent.dropFirst().map(\.count) == [half.count, half.count, 2])
        publisher.say(half)
        publisher.say(half)
        publisher.say("m")
        #expect(publisher.isClosed)
    }

    @Test func anUnfinishedLineIsNoMessage() throws {
        for departure in [Departure.endOfStream, .failed("connection reset by peer")] {
            let fixture = Fixture()
            let subscriber = fixture.subscriber()
            let publisher = fixture.publisher()
            publisher.say("whole\nfragm")
            publisher.say("ent")
            publisher.leave(departure)
            #expect(subscriber.messages == "whole\n")
            #expect(fixture.statistics.fragmentsDropped == 1 && fixture.statistics.segmentsHeld == 0)
            let name = try channel("ch")
            #expect(fixture.events.suffix(2) == [
                .fragmentDropped(publisher.peer, name, count: 8),
                .left(publisher.peer, .publisher(of: name), departure),
            ])
            #expect(!publisher.isClosed && publisher.received == "OK\r\n")
        }
    }

    @Test func anUnfinishedCommandIsNoFragment() {
        let fixture = Fixture()
        let client = fixture.client("client")
        client.say("PUBLISH c")
        client.leave()
        #expect(fixture.statistics.fragmentsDropped == 0 && fixture.statistics.errors == 0)
        #expect(client.received.isEmpty)
        #expect(fixture.events == [.left(client.peer, .undecided, .endOfStream)])
    }

    @Test func endedIsIdempotentAndFinal() {
        let fixture = Fixture()
        let clients = [fixture.client("undecided"), fixture.publisher(), fixture.subscriber()]
        for client in clients {
            client.leave()
            let events = fixture.events.count
            let sent = client.peer.record.sent.count
            client.leave(.failed("again"))
            client.say("PUBLISH ch\nmessage\nBYE\n")
            #expect(fixture.events.count == events)
            #expect(client.peer.record.sent.count == sent && !client.isClosed)
        }
        #expect(fixture.statistics.publishers == 0 && fixture.statistics.subscribers == 0)
        #expect(fixture.statistics.channels == 0)
    }

    @Test func byeThenEndOfStreamIsOneDeparture() {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        subscriber.say("BYE\r\n")
        subscriber.leave()
        #expect(fixture.events.filter { if case .left = $0 { true } else { false } }.count == 1)
        #expect(subscriber.peer.record.closeCount == 1)
    }

    @Test func noBytesAreNoEvent() {
        let fixture = Fixture()
        let publisher = fixture.publisher()
        publisher.say(Bytes())
        #expect(!publisher.isClosed && fixture.statistics.messagesPublished == 0)
    }
}
