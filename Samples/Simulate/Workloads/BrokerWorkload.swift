import PubSub
import UringReactor

/// A broker whose publishers and subscribers are scripts that speak its protocol.
final class BrokerWorkload {
    private unowned let workload: Workload
    let server: Server
    private let mayDrop: Bool
    /// A server that is not may end somebody because a completion comes late.
    private let isPatient: Bool
    private var publishers: [Publisher] = []
    private var subscribers: [Subscriber] = []

    init(_ workload: Workload) throws {
        self.workload = workload
        var configuration = ServerConfiguration()
        configuration.connection = Workload.connectionOptions(&workload.random)
        // Somebody who waits for a slow subscriber is no idler.
        configuration.connection.idleTimeout = nil
        mayDrop =
            switch configuration.connection.slowConsumer {
            case .disconnect: false
            default: true
            }
        isPatient = configuration.connection.writeTimeout.map { $0 >= .seconds(1) } ?? true
        workload.world.fit(&configuration)
        var limits = PubSubLimits(message: 30_000)
        limits.heldSegments = workload.number(0...4)
        let pauses = workload.chance(0.5)
        let broker = BrokerConfiguration(limits: limits, onPublisherExit: .keep, pausesPublishers: pauses)
        server = try PubSubService(
            on: .loopback(), configuration: configuration, broker: broker, reactor: workload.reactor, onEvent: { _ in }
        ).server
        for _ in 0..<workload.number(1...4) {
            later { self.join { Subscriber(self, $0) }.map { self.subscribers.append($0) } }
        }
        for _ in 0..<workload.number(1...3) {
            later { self.join { Publisher(self, self.publishers.count, $0) }.map { self.publishers.append($0) } }
        }
    }

    func later(_ body: @escaping () -> Void) {
        workload.world.schedule(after: .microseconds(workload.delay()), body)
    }

    private func join<Member>(_ make: (any FarEnd) -> Member) -> Member? {
        guard !workload.isFinishing, let peer = try? workload.world.connect(to: server.address) else { return nil }
        return make(peer)
    }

    /// Everybody reads what there is, and publishers finish.
    func finish() {
        for subscriber in subscribers { subscriber.keepUp() }
        for publisher in publishers { publisher.finish() }
    }

    func leave() {
        for subscriber in subscribers { subscriber.vanish() }
    }

    /// Whoever could hear everything has.
    func check() {
        for fault in faults { workload.fail(fault) }
    }

    /// Who could have heard everything, and has not.
    var faults: [String] {
        if mayDrop || !isPatient { return [] }
        return subscribers.filter(\.isFaithful).flatMap { subscriber in
            publishers.filter(\.isDone).compactMap { publisher in
                guard let since = publisher.firstSince(subscriber.joined) else { return nil }
                return subscriber.fault(publisher.number, first: since, last: publisher.said - 1)
            }
        }
    }

    static func line(_ publisher: Int, _ message: Int, _ length: Int) -> [UInt8] {
        var line = Array("\(publisher) \(message) \(length) ".utf8)
        for place in 0..<length { line.append(33 + Stream.byte(publisher, message, place) % 90) }
        return line + [10]
    }

    /// Sends numbered messages.
    final class Publisher {
        let number: Int
        private(set) var said = 0
        private let peer: any FarEnd
        private unowned let broker: BrokerWorkload
        private var budget: Int
        private var isBroken = false
        /// When each message was sent.
        private var times: [UInt64] = []

        init(_ broker: BrokerWorkload, _ number: Int, _ peer: any FarEnd) {
            (self.broker, self.number, self.peer) = (broker, number, peer)
            budget = broker.workload.number(0...25)
            peer.onReceive = { [unowned self] bytes in heard += bytes.count }
            peer.send("PUBLISH c\r\n")
            broker.later { [unowned self] in step() }
        }

        /// Bytes of the answer.
        private var heard = 0

        /// It was taken for a publisher, has sent everything, and the server has heard its end.
        var isDone: Bool { heard == Reply.ok.line.count && !isBroken && !peer.hasFailedToSend && peer.sawEnd }

        func firstSince(_ time: UInt64) -> Int? { times.firstIndex { $0 > time } }

        private func step() {
            guard peer.isOpen, !broker.workload.isFinishing else { return }
            guard budget > 0 else {
                guard broker.workload.chance(0.5) else { return }
                return finish()
            }
            if broker.workload.chance(0.01) {
                isBroken = true
                return broker.workload.chance(0.5) ? peer.reset() : peer.close()
            }
            budget -= 1
            let most = broker.workload.chance(0.1) ? 12_000 : 150
            let line = BrokerWorkload.line(number, said, broker.workload.number(0...most))
            said += 1
            times.append(broker.workload.world.now())
            let cut = broker.workload.number(0...line.count)
            peer.send(Bytes(Array(line[..<cut])))
            if cut < line.count { peer.send(Bytes(Array(line[cut...]))) }
            broker.later { [unowned self] in step() }
        }

        func finish() {
            guard !isBroken, !hasFinished, peer.isOpen else { return }
            hasFinished = true
            peer.shutdown()
        }
        private var hasFinished = false
    }

    /// Hears messages, whole and in order.
    final class Subscriber {
        private let peer: any FarEnd
        private unowned let broker: BrokerWorkload
        private var rest: [UInt8] = []
        /// When it was told OK.
        private(set) var joined: UInt64 = .max
        private var heard: [Int: [Int]] = [:]
        private var isGone = false

        init(_ broker: BrokerWorkload, _ peer: any FarEnd) {
            (self.broker, self.peer) = (broker, peer)
            peer.onReceive = { [unowned self] in hear($0) }
            peer.send("SUBSCRIBE c\n")
            broker.later { [unowned self] in step() }
        }

        /// It was there all the time since it joined.
        var isFaithful: Bool { !isGone && joined < .max && peer.isOpen && !peer.sawEnd }

        private func step() {
            guard peer.isOpen, !broker.workload.isFinishing else { return }
            switch broker.workload.number(0...30) {
            case 0: leave { $0.send("BYE\r\n") }
            case 1: leave { $0.close() }
            case 2: leave { $0.reset() }
            case 3...6: peer.pauseReading()
            case 7...14: peer.resumeReading()
            case 15: return // It lets everybody wait, until the end.
            default: peer.read(upTo: broker.workload.number(1...5_000))
            }
            broker.later { [unowned self] in step() }
        }

        private func leave(_ how: (any FarEnd) -> Void) {
            isGone = true
            how(peer)
        }

        func vanish() { leave { $0.close() } }
        func keepUp() { peer.resumeReading() }

        private func hear(_ bytes: Bytes) {
            rest += bytes
            while let end = rest.firstIndex(of: 10) {
                let line = Array(rest[...end])
                rest.removeSubrange(...end)
                if joined == .max {
                    joined = broker.workload.world.now()
                    // No policy drops answers.
                    guard line == Array("OK\r\n".utf8) else { return broker.workload.fail("a subscriber was told \(line)") }
                } else {
                    take(line)
                }
            }
        }

        private func take(_ line: [UInt8]) {
            let words = line.split(separator: 32, maxSplits: 3).prefix(3).compactMap {
                Int(String(decoding: $0, as: UTF8.self))
            }
            guard words.count == 3, line == BrokerWorkload.line(words[0], words[1], words[2]) else {
                return broker.workload.fail("a subscriber heard a damaged line \(line.prefix(60))")
            }
            if let last = heard[words[0]]?.last {
                let isNext = broker.mayDrop ? words[1] > last : words[1] == last + 1
                if !isNext { broker.workload.fail("message \(words[1]) of publisher \(words[0]) after \(last)") }
            }
            heard[words[0], default: []].append(words[1])
        }

        func fault(_ publisher: Int, first: Int, last: Int) -> String? {
            let heard = heard[publisher] ?? []
            if let begin = heard.first, begin <= first, heard.last == last { return nil }
            let range = "\(heard.first ?? -1)…\(heard.last ?? -1)"
            return "a subscriber heard \(range) of publisher \(publisher), not \(first)…\(last)"
        }
    }
}
