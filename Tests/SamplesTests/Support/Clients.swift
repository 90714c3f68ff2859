import PubSub
import UringReactor

/// Subscribes and compares all that comes with its feed, to the end if there is one. The end counts as one byte more.
struct CheckingSubscriber: ConnectionHandler {
    let channel: ChannelName
    let crowd: Crowd
    private(set) var check: FeedCheck

    init(to channel: ChannelName, feed: Feed, crowd: Crowd) {
        self.channel = channel
        self.crowd = crowd
        check = FeedCheck(feed)
    }

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .opened:
            connection.send(Command.subscribe(channel).line)
        case .received(let bytes):
            let old = check.position
            try check.check(bytes)
            try crowd.moved(from: old, to: check.position)
        case .ended:
            guard check.isComplete, !check.feed.farewell.isEmpty else {
                throw Mismatch(position: check.position, what: "the end")
            }
            try crowd.moved(from: check.position, to: check.position + 1)
            return .close
        case .drained, .timedOut: break
        case .closed(let reason):
            guard [.closed, .reactorStopped, .handlerFailed].contains(reason) else {
                throw Mismatch(position: check.position, what: "\(reason)")
            }
        }
        return .continue
    }
}

/// Publishes what it is told to.
struct TestPublisher: ConnectionHandler {
    let channel: ChannelName
    /// The server has answered.
    let whenReady: (Connection) throws -> Void
    private var answer = FeedCheck(Feed(lengths: []))

    init(to channel: ChannelName, whenReady: @escaping (Connection) throws -> Void) {
        self.channel = channel
        self.whenReady = whenReady
    }

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .opened:
            connection.send(Command.publish(channel).line)
        case .received(let bytes):
            try answer.check(bytes)
            if answer.isComplete { try whenReady(connection) }
        case .ended: return .close
        case .drained, .timedOut, .closed: break
        }
        return .continue
    }
}
