import PubSub
import UringReactor

/// What the broker says of itself, and what must follow from it.
final class PubSubLedger {
    private unowned let play: PubSubWorkload
    /// The server's ends, and how many messages had been published when they joined.
    private var members: [Connection: UInt64] = [:]
    private(set) var live: [Connection] = []
    private var isPaused: [ChannelName: Bool] = [:]
    private var left: Set<Connection> = []
    private(set) var pausedChannels = 0
    private(set) var joins = 0
    /// Messages that were published while a subscriber was there, for each of them; if there is only one channel.
    private(set) var due: UInt64 = 0
    /// Bytes of `OK`s.
    private(set) var replies: UInt64 = 0
    /// Members that were told an `ERROR`, unless there was no room for it.
    private(set) var refusals = 0
    private(set) var fragments = 0

    init(_ play: PubSubWorkload) {
        self.play = play
    }

    func note(_ event: BrokerEvent<ConnectionPeer>, published: UInt64) {
        switch event {
        case .joined(let peer, _):
            if members.updateValue(published, forKey: peer.connection) != nil { play.fail("\(peer) joined twice") }
            if left.contains(peer.connection) { play.fail("\(peer) joined after it had left") }
            live.append(peer.connection)
            joins += 1
            replies += UInt64(Reply.ok.line.count)
        case .left(let peer, let role, let departure):
            if !left.insert(peer.connection).inserted { play.fail("\(peer) left twice") }
            let since = members.removeValue(forKey: peer.connection)
            if (since == nil) != (role == .undecided) { play.fail("\(peer) left as \(role)") }
            live.removeAll { $0 == peer.connection }
            if case .subscriber = role, let since { due += published - since }
            if case .refused = departure { refusals += 1 }
        case .fragmentDropped: fragments += 1
        case .publishersPaused(let channel, _): pause(channel, true)
        case .publishersResumed(let channel): pause(channel, false)
        }
    }

    private func pause(_ channel: ChannelName, _ pauses: Bool) {
        if isPaused.updateValue(pauses, forKey: channel) ?? false == pauses {
            play.fail("\(channel) was \(pauses ? "paused" : "resumed") twice")
        }
        pausedChannels += pauses ? 1 : -1
    }
}
