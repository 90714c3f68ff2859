@testable import PubSub
import Testing
import UringReactor

/// How bytes are cut into segments changes nothing.
@Suite struct SegmentationTests {
    private struct Outcome: Equatable {
        var subscriber: String
        var publisher: String
        var isClosed: Bool
        var messagesPublished: UInt64
        var deliveries: UInt64
        var fragmentsDropped: UInt64
        var errors: UInt64
    }

    /// What comes of `segments`, said by one connection while another one subscribes to `ch`.
    private func play(_ segments: [Bytes], limits: PubSubLimits = PubSubLimits()) -> Outcome {
        let fixture = Fixture(limits: limits)
        let subscriber = fixture.subscriber()
        let publisher = fixture.client("publisher")
        for segment in segments { publisher.say(segment) }
        publisher.leave()
        #expect(fixture.statistics.segmentsHeld == 0)
        return Outcome(
            subscriber: subscriber.messages, publisher: publisher.received, isClosed: publisher.isClosed,
            messagesPublished: fixture.statistics.messagesPublished, deliveries: fixture.statistics.deliveries,
            fragmentsDropped: fixture.statistics.fragmentsDropped, errors: fixture.statistics.errors
        )
    }

    @Test(arguments: [
        "PUBLISH ch\r\none\r\n\nBYEx\nBYE\r\nlost\n",
        "PUBLISH ch\na\r\r\nbye\n BYE\nunfinished",
        "PUBLISH ch\nfits in it\r\ndoes not fit\nlost\n",
        "PUBLISH ch\n\r\n\r\n\rBYE\nBY\n",
        "NONSENSE\nPUBLISH ch\nlost\n",
        "BYE\nlost\n",
    ])
    func everyPairOfCuts(transcript: String) {
        let bytes = Bytes(transcript)
        let limits = PubSubLimits(message: 10)
        let whole = play([bytes], limits: limits)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                let segments = [bytes[..<first], bytes[first..<second], bytes[second...]]
                #expect(play(segments, limits: limits) == whole, "cut at \(first) and \(second)")
            }
        }
        #expect(play(bytes.map { Bytes([$0]) }, limits: limits) == whole, "one byte at a time")
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func randomCutsOfALongTranscript(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var transcript = Array("PUBLISH ch\r\n".utf8)
        while transcript.count < 150_000 {
            let longest = [0, 5, 80, 3000, 30_000].randomElement(using: &random) ?? 0
            for _ in 0..<Int.random(in: 0...longest, using: &random) {
                transcript.append(UInt8(Int.random(in: 0x0b...0x7e, using: &random)))
            }
            transcript += [[0x0a], [0x0d, 0x0a]].randomElement(using: &random) ?? []
        }
        if Bool.random(using: &random) { transcript += Array("BYE\r\n".utf8) }
        let bytes = Bytes(transcript)
        var limits = PubSubLimits(message: 40_000)
        let whole = play([bytes], limits: limits)
        #expect(whole.errors == 0 && whole.messagesPublished > 0, "seed \(seed)")
        for longest in [7, 100, 4096, 20_000] {
            limits.heldSegments = Int.random(in: 0...5, using: &random)
            var segments: [Bytes] = []
            var position = 0
            while position < bytes.count {
                let end = min(bytes.count, position + Int.random(in: 1...longest, using: &random))
                segments.append(bytes[position..<end])
                position = end
            }
            #expect(play(segments, limits: limits) == whole, "seed \(seed), segments of up to \(longest) bytes")
        }
    }

    @Test func aMessageIsDeliveredOnlyWhenItIsWhole() {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        publisher.say("be")
        publisher.say("gin")
        #expect(subscriber.messages.isEmpty)
        let late = fixture.subscriber("late")
        publisher.say("\nnext")
        #expect(subscriber.messages == "begin\n" && late.messages == "begin\n")
    }

    @Test func largeSegmentsAreForwardedWithoutACopy() {
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        let segments = (0..<4).map { Bytes([UInt8](repeating: 0x61 + $0, count: 16 * 1024)) }
        for segment in segments { publisher.say(segment) }
        #expect(fixture.statistics.segmentsHeld == 4)
        #expect(subscriber.peer.record.sent.count == 1)
        publisher.say("end\n")
        #expect(fixture.statistics.segmentsHeld == 0)
        let sent = subscriber.peer.record.sent.dropFirst()
        #expect(sent.count == 5)
        #expect(zip(sent, segments).allSatisfy { $0.isAt(0, of: $1) })
        #expect(publisher.session.lines.unfinished.bytesCopied == 0)
        #expect(fixture.statistics.deliveries == 1)
    }

    @Test func allSubscribersShareOneSlice() {
        let fixture = Fixture()
        let subscribers = (0..<3).map { fixture.subscriber("subscriber \($0)") }
        let segment: Bytes = "one\ntwo\nthree\nrest"
        fixture.publisher().say(segment)
        for subscriber in subscribers {
            let sent = subscriber.peer.record.sent.dropFirst()
            #expect(sent.count == 1)
            #expect(sent.last?.isAt(0, of: segment) == true && sent.last?.count == 14)
        }
        #expect(fixture.statistics.messagesPublished == 3 && fixture.statistics.deliveries == 9)
    }

    @Test func oneByteAtATimeIsLinear() {
        let total = 1024 * 1024
        let fixture = Fixture()
        let subscriber = fixture.subscriber()
        let publisher = fixture.publisher()
        let message = Bytes((0..<total).map { UInt8(truncatingIfNeeded: $0) | 0x80 } + [0x0a])
        for position in 0..<message.count { publisher.say(message[position..<(position + 1)]) }
        let sent = subscriber.peer.record.sent.dropFirst()
        #expect(Bytes(sent.flatMap { Array($0) }) == message)
        #expect(sent.count <= 3 + total / UnfinishedLine.chunk)
        #expect(publisher.session.lines.unfinished.bytesCopied <= 2 * total)
    }

    @Test func heldSegmentsAreBoundedForAllSessionsTogether() {
        let fixture = Fixture(limits: PubSubLimits(heldSegments: 5))
        let subscriber = fixture.subscriber()
        let publishers = (0..<4).map { fixture.publisher("publisher \($0)") }
        let segment = Bytes([UInt8](repeating: 0x61, count: 4096))
        for _ in 0..<10 {
            for publisher in publishers {
                publisher.say(segment)
                #expect(fixture.statistics.segmentsHeld <= 5)
            }
        }
        #expect(fixture.statistics.segmentsHeld == 5)
        #expect(publishers.reduce(0) { $0 + $1.session.lines.segmentsHeld } == 5)
        for (index, publisher) in publishers.enumerated() {
            if index % 2 == 0 { publisher.say("\n") } else { publisher.leave() }
        }
        #expect(fixture.statistics.segmentsHeld == 0)
        #expect(fixture.statistics.messagesPublished == 2 && fixture.statistics.fragmentsDropped == 2)
        #expect(subscriber.messages.utf8.count == 2 * (10 * 4096 + 1))
    }
}
