@testable import PubSub
import Testing
import UringReactor

/// Random publishers and subscribers, random answers, drains and departures, also in the middle of each other.
@Suite struct BackpressureFuzzTests {
    @Test(arguments: [PublisherExitPolicy.keep, .bye], 0..<100 as Range<UInt64>)
    func publishersWaitExactlyWhileSomebodyIsBehind(policy: PublisherExitPolicy, seed: UInt64) {
        let world = BackpressureWorld(seed: seed, policy)
        for step in 0..<300 {
            world.act()
            world.check("seed \(seed), step \(step)")
        }
        world.finish()
        world.check("seed \(seed), at the end")
        #expect(!world.members.contains { $0.client.peer.record.isPaused }, "seed \(seed)")
        world.checkStreams("seed \(seed)")
        #expect(world.fixture.statistics.publisherPauses > 0, "seed \(seed)")
    }
}

/// A broker, its clients, and what should hold of them.
private final class BackpressureWorld {
    final class Member {
        let client: Client
        let channel: ChannelName
        let publishes: Bool
        /// Whether all it is sent is accepted.
        let takesAll: Bool
        var isPresent = true
        var isBehind = false
        var refuses = false
        /// It is being called, so nobody may call it.
        var isSpeaking = false
        /// Of a publisher: messages that have ended, bytes that wait to be said.
        var published = 0
        var unsaid: [UInt8] = []
        /// Of a subscriber: what each publisher had published when it had joined.
        var baseline: [String: Int] = [:]

        init(_ client: Client, on channel: ChannelName, publishes: Bool, takesAll: Bool) {
            self.client = client
            self.channel = channel
            self.publishes = publishes
            self.takesAll = takesAll
        }
    }

    let fixture: Fixture
    private(set) var members: [Member] = []
    private var random: SplitMix64
    private var depth = 0
    private var isCalm = false
    /// Whether a channel was last reported as paused, and how often any was.
    private var reported: [ChannelName: Bool] = [:]
    private var pauses: UInt64 = 0

    init(seed: UInt64, _ policy: PublisherExitPolicy) {
        random = SplitMix64(seed: seed)
        fixture = Fixture(limits: PubSubLimits(heldSegments: 3), onPublisherExit: policy, pausesPublishers: true)
        fixture.onEvent = { [unowned self] event in
            note(event)
            disturb()
        }
    }

    private func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &random) == 0 }

    // MARK: - What happens

    /// One random action.
    func act() {
        let present = members.filter { $0.isPresent && !$0.isSpeaking }
        guard let member = present.randomElement(using: &random), present.count > 3, !oneIn(10) else {
            return members.filter(\.isPresent).count < 14 ? join() : ()
        }
        if oneIn(25) {
            speak(member) { $0.leave(.failed("gone")) }
        } else if member.publishes {
            publish(member)
        } else if oneIn(30) {
            speak(member) { $0.say("BYE\n") }
        } else {
            speak(member) {
                member.isBehind = false
                $0.drain()
            }
        }
    }

    /// Another action from within one, sometimes.
    private func disturb() {
        guard !isCalm, depth < 4, oneIn(12) else { return }
        act()
    }

    private func speak(_ member: Member, _ words: (Client) -> Void) {
        member.isSpeaking = true
        depth += 1
        words(member.client)
        depth -= 1
        member.isSpeaking = false
        if depth == 0 { settle() }
    }

    private func join() {
        let publishes = oneIn(2)
        let names = ["a", "b"]
        guard let name = names.randomElement(using: &random), let channel = try? ChannelName(name) else { return }
        let member = Member(
            fixture.client("\(members.count)"), on: channel, publishes: publishes, takesAll: oneIn(2))
        let record = member.client.peer.record
        record.answer = { [unowned self, unowned member] in publishes ? .queued : answer(of: member) }
        record.onSend = { [unowned self] _ in disturb() }
        record.onPause = { [unowned self] _ in disturb() }
        members.append(member)
        speak(member) { $0.say("\(publishes ? "PUBLISH" : "SUBSCRIBE") \(channel)\n") }
    }

    private func answer(of member: Member) -> SendOutcome {
        guard !member.refuses else { return .refused }
        // The `OK`, and the `BYE` of a dismissal, are no deliveries.
        let isDelivery = member.client.peer.record.pieceCounts.count > 1 && member.isPresent
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<5:
            member.isBehind = member.isBehind || isDelivery
            return .backlogged
        case 5..<7 where !member.takesAll:
            return .dropped
        case 7 where !member.takesAll && oneIn(4):
            member.refuses = true
            member.isBehind = false
            return .refused
        default:
            return .queued
        }
    }

    private func publish(_ member: Member) {
        for _ in 0..<Int.random(in: 0...2, using: &random) {
            let number = member.published + member.unsaid.filter { $0 == ASCII.lineFeed }.count
            let padding = String(repeating: ".", count: oneIn(10) ? 3000 : Int.random(in: 0...5, using: &random))
            member.unsaid += Array("\(member.client.peer.name) \(number) \(padding)\n".utf8)
        }
        let count = Int.random(in: 0...member.unsaid.count, using: &random)
        let segment = Array(member.unsaid.prefix(count))
        member.unsaid.removeFirst(count)
        // Counted first: during the call others may look.
        member.published += segment.filter { $0 == ASCII.lineFeed }.count
        speak(member) { $0.say(Bytes(segment)) }
    }

    private func note(_ event: Fixture.Event) {
        switch event {
        case .left(let peer, _, _):
            for member in members where member.client.peer == peer {
                member.isPresent = false
                member.isBehind = false
            }
        case .publishersPaused(let name, _):
            #expect(reported.updateValue(true, forKey: name) != true, "paused twice")
            pauses += 1
        case .publishersResumed(let name):
            #expect(reported.updateValue(false, forKey: name) == true, "resumed twice")
        case .joined, .fragmentDropped: break
        }
    }

    /// Nothing is on its way: who has joined sees, from each publisher, all that comes from now on.
    private func settle() {
        for member in members where !member.publishes && member.isPresent && member.baseline.isEmpty {
            member.baseline["joined"] = 0
            for publisher in members where publisher.publishes && publisher.channel == member.channel {
                member.baseline[publisher.client.peer.name] = publisher.published
            }
        }
    }

    /// All subscribers drain or leave, in some order.
    func finish() {
        isCalm = true
        for member in members.shuffled(using: &random) where member.isPresent && !member.publishes {
            if oneIn(4) {
                speak(member) { $0.leave() }
            } else {
                speak(member) {
                    member.isBehind = false
                    $0.drain()
                }
            }
        }
    }

    // MARK: - What must hold

    func check(_ context: String) {
        #expect(fixture.statistics.publisherPauses == pauses, "\(context)")
        for name in Set(members.map(\.channel)) {
            let isHeldUp = members.contains { $0.channel == name && $0.isPresent && $0.isBehind }
            #expect(reported[name, default: false] == isHeldUp, "\(context): reported of \(name)")
            for publisher in members where publisher.publishes && publisher.channel == name {
                let expected = publisher.isPresent && isHeldUp
                #expect(publisher.client.peer.record.isPaused == expected, "\(context): peer \(publisher.client.peer)")
                #expect(publisher.client.session.isPaused == expected, "\(context): session \(publisher.client.peer)")
            }
        }
        #expect(members.allSatisfy { $0.client.peer.record.toldTwice == 0 }, "\(context)")
    }

    /// Whole messages, in order, none doubled; and none lost for those that took all.
    func checkStreams(_ context: String) {
        var order: [ChannelName: [[String]]] = [:]
        for member in members where !member.publishes {
            // As bytes: to a `String`, CRLF is one character.
            let lines = member.client.messages.utf8.split(separator: ASCII.lineFeed, omittingEmptySubsequences: false)
            #expect(lines.last?.isEmpty == true, "\(context): cut")
            let messages = lines.dropLast().map { String($0) ?? "not UTF-8" }.filter { $0 != "BYE\r" }
            order[member.channel, default: []].append(messages)
            var numbers: [String: [Int]] = [:]
            for message in messages {
                let words = message.split(separator: " ")
                guard words.count >= 2, let number = Int(words[1]) else {
                    Issue.record("\(context): not whole: \(message.prefix(60))")
                    continue
                }
                numbers[String(words[0]), default: []].append(number)
            }
            for (publisher, numbers) in numbers {
                #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }, "\(context): order of \(publisher)")
            }
            if member.takesAll { checkNothingIsLost(numbers, member, context) }
        }
        for streams in order.values { checkOneOrder(streams, context) }
    }

    private func checkNothingIsLost(_ numbers: [String: [Int]], _ member: Member, _ context: String) {
        for publisher in members where publisher.publishes && publisher.channel == member.channel {
            let name = publisher.client.peer.name
            let got = numbers[name] ?? []
            if let first = got.first, let last = got.last {
                #expect(got.count == last - first + 1, "\(context): \(member.client.peer) lost some of \(name)")
            }
            guard member.isPresent else { continue }
            let begin = member.baseline[name] ?? 0
            #expect(got.filter { $0 >= begin }.count == publisher.published - begin, "\(context): end of \(name)")
        }
    }

    /// What two subscribers of a channel both have they have in the same order.
    private func checkOneOrder(_ streams: [[String]], _ context: String) {
        for (index, stream) in streams.enumerated() {
            let places = Dictionary(stream.enumerated().map { ($1, $0) }) { first, _ in first }
            for other in streams[..<index] {
                let shared = other.compactMap { places[$0] }
                #expect(zip(shared, shared.dropFirst()).allSatisfy { $0 < $1 }, "\(context): two orders")
            }
        }
    }
}
