import CTestSupport
import PubSub
import Testing
import UringReactor

@testable import samples

extension Acceptance {
    /// Thousands leave at once. In a process of its own, whose descriptors can be counted.
    @Suite struct MassDepartureTests {
        @Test func othersGoOnWhileThousandsSayBye() async {
            let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                try MassDeparture(resets: false).run()
            }
            print(String(decoding: result?.standardOutputContent ?? [], as: UTF8.self))
        }

        @Test func othersGoOnWhileThousandsVanish() async {
            let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                try MassDeparture(resets: true).run()
            }
            print(String(decoding: result?.standardOutputContent ?? [], as: UTF8.self))
        }
    }
}

private final class MassDeparture {
    private let resets: Bool
    private let reactor: Reactor
    private let service: PubSubService
    private let count: Int
    private var leavers: [PlainClient] = []
    private let pair = Crowd(1)
    private let feed = Feed(count: 100_000, length: 64)
    private var publisher: Connection?
    private var published = 0
    private let departures = Departures()
    private var connectionsBefore = 0
    private var descriptorsBefore: Int32 = 0
    private var isOver = false

    private final class Departures {
        /// Those that have left.
        var count = 0
        /// From the moment that they leave.
        var isUnderWay = false
        /// Messages of the pair that arrived while it was.
        var messages = 0
        /// The turn of the pair's last message, and the most turns between two of them.
        var turnOfLastMessage: UInt64 = 0
        var mostTurns: UInt64 = 0
    }

    init(resets: Bool) throws {
        self.resets = resets
        raiseDescriptorLimit()
        let wanted = Scale.of(10_000, atLeast: 500)
        let count = min(wanted, availableDescriptors() / 2)
        if count < wanted { print("\(count) leave, not \(wanted): each takes two descriptors (ulimit -Hn)") }
        self.count = count
        var configuration = ReactorConfiguration()
        configuration.workPerTurn = max(32, count / 10)
        configuration.onReport = { fatalError("\($0)") }
        reactor = try Reactor(configuration: configuration)
        let departures = departures
        service = try PubSubService(
            on: .loopback(), configuration: ServerConfiguration(), broker: BrokerConfiguration(), reactor: reactor
        ) {
            if case .left = $0 { departures.count += 1 }
        }
    }

    func run() throws {
        let channel = try ChannelName("pair")
        pair.wait(for: feed.end(of: 0)) { [self] in
            let handler = TestPublisher(to: channel) { [self] in
                publisher = $0
                connectionsBefore = reactor.statistics.connections
                descriptorsBefore = open_descriptors()
                pair.whenThere = messageArrived
                publishNext()
                try joinMore()
            }
            reactor.connect(to: service.server.address, handler: handler)
        }
        let subscriber = CheckingSubscriber(to: channel, feed: feed, crowd: pair)
        reactor.connect(to: service.server.address, handler: subscriber)
        reactor.after(.seconds(300)) { fatalError("it hangs") }
        try reactor.run()
        try #require(isOver)
        measured(
            """
            \(count) subscribers \(resets ? "vanish" : "say BYE") at once: \(departures.messages) messages of others arrive \
            until the last connection is closed, at most \(departures.mostTurns) turns between two
            """)
    }

    private func publishNext() {
        published += 1
        pair.wait(for: feed.end(of: published))
        publisher?.send(feed[published - 1])
    }

    private func messageArrived() {
        if departures.isUnderWay {
            departures.messages += 1
            departures.mostTurns = max(departures.mostTurns, reactor.statistics.turns - departures.turnOfLastMessage)
        }
        departures.turnOfLastMessage = reactor.statistics.turns
        if published < feed.count { publishNext() }
    }

    /// Calls `body` in each turn until it says that it is done.
    private func eachTurn(until body: @escaping () throws -> Bool) throws {
        guard try !body() else { return }
        reactor.after(.zero) { [self] in try eachTurn(until: body) }
    }

    private func joinMore() throws {
        guard leavers.count < count else { return try leave() }
        for _ in 0..<min(500, count - leavers.count) {
            let client = try PlainClient(to: service.server.address)
            try client.send("SUBSCRIBE crowd\n")
            leavers.append(client)
        }
        try eachTurn { [self] in
            guard service.broker.statistics.subscribers == leavers.count + 1 else { return false }
            try joinMore()
            return true
        }
    }

    /// All in one go, before the reactor sees the first of it.
    private func leave() throws {
        for client in leavers { try client.expect("OK\r\n") }
        departures.isUnderWay = true
        for client in leavers {
            if resets { client.reset() } else { try client.send("BYE\n") }
        }
        leavers = resets ? [] : leavers.reversed()
        try eachTurn { [self] in
            // Who left first is dealt with first; not all in each turn.
            while let client = leavers.last, let answer = try client.poll() {
                try #require(answer.isEmpty)
                client.close()
                leavers.removeLast()
            }
            guard departures.messages > 0, leavers.isEmpty, departures.count == count,
                reactor.statistics.connections == connectionsBefore,
                open_descriptors() == descriptorsBefore
            else { return false }
            try #require(service.broker.statistics.subscribers == 1)
            isOver = true
            reactor.stop()
            return true
        }
    }
}
