import PubSub
import Testing
import UringReactor

@testable import samples

/// One subscriber that does not read, among others that do. The server is another process.
///
/// The publisher goes on when the others have got what came before, so none of them is ever slow, however slow the machine
/// is. When everything is published (or, if publishers are paused, when they are) the slow one begins to read.
final class SlowPlay {
    let choice: SlowConsumerChoice
    let server: ServerProcess
    let address: SocketAddress
    let reactor: Reactor
    /// What is published while the slow one does not read, and then small ones, until it gets one of those.
    let feed: Feed
    let messages: Int
    /// How many messages the publisher sends at once; each in a send of its own.
    let window: Int
    /// All that the slow one got, its answer included.
    private(set) var received: [UInt8] = []
    private(set) var before = ServerProcess.Memory()
    /// When everything was published, and the slow one had read nothing.
    private(set) var during = ServerProcess.Memory()
    private(set) var end = ServerProcess.Memory()

    private let others: Crowd
    private var slow: Connection?
    private var publisher: Connection?
    private var published = 0
    private var slowReads = false
    private var slowHasEnded = false
    private var slowHasMore = false
    private var isProbing = false
    private let channel: ChannelName

    init(
        _ choice: SlowConsumerChoice, server: ServerProcess, address: SocketAddress? = nil, others: Int, messages: Int,
        length: Int, window: Int
    ) throws {
        self.choice = choice
        self.server = server
        self.address = address ?? server.address
        self.messages = messages
        self.window = window
        self.others = Crowd(others)
        reactor = try Reactor.watched()
        channel = try ChannelName("slow")
        let probes = choice == .dropNewest || choice == .dropOldest ? 2000 : 0
        feed = Feed(
            lengths: [Int](repeating: length, count: messages) + [Int](repeating: 64, count: probes),
            farewell: choice == .pausePublisher ? Feed.bye : Bytes())
    }

    func run() throws {
        others.wait(for: feed.end(of: 0)) { [self] in
            reactor.connect(
                to: address, socketOptions: socketOptions([.receiveBuffer: 16_384]), handler: SlowReader(play: self))
        }
        for _ in 0..<others.size {
            reactor.connect(
                to: address, socketOptions: socketOptions([:]),
                handler: CheckingSubscriber(to: channel, feed: feed, crowd: others))
        }
        if choice == .pausePublisher {
            server.follow(on: reactor) { [self] text in if text.contains(" paused: ") { letRead() } }
        }
        try reactor.runWatched()
        end = try server.memory()
    }

    private func socketOptions(_ options: [SocketOption: Int]) -> [SocketOption: Int] {
        address.family == .unix ? [:] : options.merging([.noDelay: 1]) { $1 }
    }

    fileprivate func slowIsSubscribed(_ connection: Connection) throws {
        slow = connection
        connection.pauseReading()
        before = try server.memory()
        others.whenThere = { [self] in try othersAreThere() }
        let handler = TestPublisher(to: channel) { [self] in
            publisher = $0
            if choice == .pausePublisher {
                // As fast as it can: to be slowed down is the point.
                others.wait(for: feed.bytes.count + 1)
                for number in 0..<messages { publisher?.send(feed[number]) }
                publisher?.send(Command.bye.line)
            } else {
                publishNext()
            }
        }
        reactor.connect(to: address, socketOptions: socketOptions([:]), handler: handler)
    }

    private func publishNext() {
        let numbers = published..<min(published + window, messages)
        published = numbers.upperBound
        others.wait(for: feed.end(of: published))
        for number in numbers { publisher?.send(feed[number]) }
    }

    private func othersAreThere() throws {
        if choice == .pausePublisher { return stopIfOver() }
        if published < messages { return publishNext() }
        if !slowReads {
            during = try server.memory()
            letRead()
        }
        isProbing = false
        probe()
    }

    private func letRead() {
        guard !slowReads else { return }
        slowReads = true
        slow?.resumeReading()
    }

    /// A small message each time the slow one has got something, so that it gets one of them in the end, and one at a time.
    private func probe() {
        stopIfOver()
        guard choice == .dropNewest || choice == .dropOldest, !isProbing, slowHasMore, published < feed.count else { return }
        slowHasMore = false
        isProbing = true
        others.wait(for: feed.end(of: published + 1))
        publisher?.send(feed[published])
        published += 1
    }

    fileprivate func slowReceived(_ bytes: Bytes) {
        unsafe bytes.withUnsafeBytes { unsafe received.append(contentsOf: $0) }
        slowHasMore = true
        if slowReads { probe() }
    }

    fileprivate func slowEnded() {
        slowHasEnded = true
        stopIfOver()
    }

    /// The end, or a probe, which is not sent unless the others have all.
    private func stopIfOver() {
        switch choice {
        case .disconnect, .pausePublisher:
            if slowHasEnded, slowReads { reactor.stop() }
        case .dropNewest, .dropOldest:
            guard !isProbing, published > messages, received.last == UInt8(ascii: "\n") else { return }
            let probe = feed[messages]
            guard let last = received.dropLast().lastIndex(of: UInt8(ascii: "\n")), received.count - last - 1 == probe.count
            else { return }
            reactor.stop()
        }
    }

    /// The numbers of the messages that the slow one got, each compared with what was published.
    func numbersReceived(dropping suffix: Bytes = Bytes()) throws -> [Int] {
        try #require(received.starts(with: Feed.answer) && received.suffix(suffix.count).elementsEqual(suffix))
        var rest = Bytes(received[Feed.answer.count..<received.count - suffix.count])
        var numbers: [Int] = []
        var next = 0
        while !rest.isEmpty {
            let length = try #require(rest.firstIndex(of: UInt8(ascii: "\n"))) + 1
            let line = rest.prefix(length)
            while next < published || choice == .pausePublisher && next < feed.count, feed[next] != line { next += 1 }
            try #require(next < feed.count && feed[next] == line, "not one of those to come: \(line.prefix(40))")
            numbers.append(next)
            next += 1
            rest = rest.dropFirst(length)
        }
        return numbers
    }
}

/// Subscribes, and then does not read until it is told to.
private struct SlowReader: ConnectionHandler {
    let play: SlowPlay
    private var isSubscribed = false

    init(play: SlowPlay) { self.play = play }

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .opened:
            connection.send(Command.subscribe(try ChannelName("slow")).line)
        case .received(let bytes):
            play.slowReceived(bytes)
            guard !isSubscribed, play.received.count >= Feed.answer.count else { break }
            isSubscribed = true
            try play.slowIsSubscribed(connection)
        case .ended:
            play.slowEnded()
            return .close
        case .drained, .timedOut: break
        case .closed(let reason):
            guard [.closed, .reactorStopped].contains(reason) else { throw Mismatch(position: 0, what: "\(reason)") }
        }
        return .continue
    }
}
