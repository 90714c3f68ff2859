@testable import PubSub
import Testing
import UringReactor

/// Many connections, garbage and sense in random segments, and what must hold whatever happens.
@Suite struct FuzzTests {
    private static let limits = PubSubLimits(
        message: 200, commandLine: 40, channels: 3, subscribersPerChannel: 4, heldSegments: 6
    )

    private static let words: [[UInt8]] = [
        "PUBLISH a\r\n", "PUBLISH b\n", "SUBSCRIBE a\n", "SUBSCRIBE b\r\n", "SUBSCRIBE c\n", "PUBLISH d\n", "BYE\r\n",
        "BYE\n", "BY", "E", "\r", "\n", "\r\n", "message\n", "message", " ", "PUBLISH ", "SUBSCRIBE", "\u{0}", "\u{7f}",
    ].map { Array($0.utf8) } + [[0xff], [UInt8](repeating: 0x78, count: 50), [UInt8](repeating: 0x79, count: 199)]

    private func segment(_ random: inout SplitMix64) -> Bytes {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            bytes += Self.words.randomElement(using: &random) ?? []
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            for _ in 0..<Int.random(in: 0...300, using: &random) {
                bytes.append(UInt8.random(in: .min ... .max, using: &random))
            }
        }
        return Bytes(bytes)
    }

    @Test(arguments: [PublisherExitPolicy.keep, .bye], 0..<150 as Range<UInt64>)
    func invariantsHold(policy: PublisherExitPolicy, seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let fixture = Fixture(limits: Self.limits, onPublisherExit: policy)
        var clients = (0..<8).map { fixture.client("client \($0)") }
        var retired: [Client] = []
        for step in 0..<250 {
            let index = clients.indices.randomElement(using: &random) ?? 0
            if Int.random(in: 0..<12, using: &random) == 0 {
                clients[index].leave()
                retired.append(clients[index])
                clients[index] = fixture.client("client of step \(step)")
            } else {
                clients[index].say(segment(&random))
            }
            check(fixture, clients, "seed \(seed), step \(step)")
        }
        for client in clients { client.leave() }
        let all = retired + clients
        check(fixture, [], "seed \(seed), at the end")
        for client in all {
            let departures = fixture.events.filter { if case .left(client.peer, _, _) = $0 { true } else { false } }
            #expect(departures.count == 1, "seed \(seed), \(client.peer)")
            #expect(client.peer.record.closeCount <= 1 && client.peer.record.sentAfterClose == 0, "seed \(seed)")
        }
        let bytesOut = all.flatMap(\.peer.record.sent).map(\.count).reduce(0, +)
        #expect(fixture.statistics.bytesOut == UInt64(bytesOut), "seed \(seed)")
    }

    private func check(_ fixture: Fixture, _ clients: [Client], _ context: String) {
        let broker = fixture.broker
        let statistics = fixture.statistics
        let names = broker.channelNames
        let publishers = names.map { broker.publisherCount(of: $0) }.reduce(0, +)
        let subscribers = names.map { broker.subscriberCount(of: $0) }.reduce(0, +)
        #expect(statistics.channels == names.count && names.count <= 3, "\(context)")
        #expect(statistics.publishers == publishers, "\(context)")
        #expect(statistics.subscribers == subscribers, "\(context)")
        for name in names {
            #expect(broker.publisherCount(of: name) + broker.subscriberCount(of: name) > 0, "\(context)")
            #expect(broker.subscriberCount(of: name) <= 4, "\(context)")
        }
        var publishing = 0
        for client in clients {
            if case .publishing = client.session.state { publishing += 1 }
            #expect(client.session.lines.unfinishedCount <= Self.limits.message + 1, "\(context)")
        }
        #expect(statistics.publishers == publishing, "\(context)")
        let held = clients.map(\.session.lines.segmentsHeld).reduce(0, +)
        #expect(statistics.segmentsHeld == held, "\(context)")
        #expect(statistics.segmentsHeld <= Self.limits.heldSegments, "\(context)")
    }
}
