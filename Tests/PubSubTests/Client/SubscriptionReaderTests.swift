@testable import PubSub
import Testing
import UringReactor

@Suite struct SubscriptionReaderTests {
    private func read(_ segments: [Bytes]) -> ([SubscriptionReader.Event], SubscriptionReader.Ending) {
        var reader = SubscriptionReader(messageLimit: 100)
        var events: [SubscriptionReader.Event] = []
        do throws(ProtocolError) {
            for segment in segments {
                var rest = segment
                while let event = try reader.next(from: &rest) { events.append(event) }
                #expect(rest.isEmpty)
            }
        } catch {
            Issue.record(error)
        }
        return (events, reader.end())
    }

    @Test(arguments: [
        ("OK\r\na\n\r\nBYE\r\n", [.accepted, .message("a\n"), .message("\r\n"), .bye], .bye),
        ("OK\r\nBYE\r\nlost\n", [.accepted, .bye], .bye),
        ("OK\r\nOK\r\nbye\n", [.accepted, .message("OK\r\n"), .message("bye\n")], .closed),
        ("OK\r\n", [.accepted], .closed),
        ("OK\r\nERROR x\r\na\n", [.accepted, .message("ERROR x\r\n"), .message("a\n")], .closed),
        ("OK\r\na\nERROR x\r\n", [.accepted, .message("a\n"), .message("ERROR x\r\n")], .error(reason: "x")),
        ("OK\r\nERROR x\r\nab", [.accepted, .message("ERROR x\r\n")], .cut(count: 2)),
        ("ERROR why not\r\n", [.refused(reason: "why not")], .refused(reason: "why not")),
        ("OK", [], .unanswered),
        ("", [], .unanswered),
    ] as [(Bytes, [SubscriptionReader.Event], SubscriptionReader.Ending)])
    func tellsWhatCanBeTold(
        stream: Bytes, events: [SubscriptionReader.Event], ending: SubscriptionReader.Ending
    ) {
        for cut in 0...stream.count {
            let (read, end) = read([stream.prefix(cut), stream.dropFirst(cut)])
            #expect(read == events, "cut at \(cut)")
            #expect(end == ending, "cut at \(cut)")
        }
        #expect(read(stream.map { Bytes([$0]) }).0 == events)
    }

    @Test func anAnswerThatIsNoneIsARefusal() {
        let reason = "not an answer: \"HTTP/1.1 400 Bad Request\""
        #expect(read(["HTTP/1.1 400 Bad Request\r\nx\n"]).0 == [.refused(reason: reason)])
        #expect(read(["BYE\r\n"]).0 == [.refused(reason: "not an answer: \"BYE\"")])
    }

    @Test func aMessageOverTheLimitEndsIt() throws {
        var reader = SubscriptionReader(messageLimit: 3)
        var rest: Bytes = "OK\r\nabcd\n"
        #expect(try reader.next(from: &rest) == .accepted)
        #expect(throws: ProtocolError.lineTooLong(limit: 3)) { try reader.next(from: &rest) }
    }

    /// What a broker sends, this reads.
    @Test func understandsTheBroker() {
        let fixture = Fixture(onPublisherExit: .bye)
        let subscriber = fixture.subscriber()
        fixture.publisher().say("one\ntwo\r\nBYE\n")
        let (events, ending) = read(subscriber.peer.record.sent)
        #expect(events == [.accepted, .message("one\n"), .message("two\r\n"), .bye])
        #expect(ending == .bye)
    }
}
