import UringReactor

/// One connection's side of the protocol: an explicit state machine, fed with bytes and with the end.
///
/// A server keeps one next to each connection. It stores no peer: whoever feeds it says whose bytes they are.
///
/// There are four states, and whatever happens leads from one to another in one place, `transition`:
///
///     undecided ── PUBLISH ──▶ publishing ──┐
///         │                                 ├── BYE, an error, the end of the connection ──▶ ended
///         └──── SUBSCRIBE ───▶ subscribed ──┘
///
/// A session must be told that its connection ended (``ended(_:peer:)``): otherwise its place on the channel stays taken.
/// And it must be told when a backlog is gone (``drained(peer:)``) if publishers wait for that.
/// Like the broker it belongs to one thread. It is a value, but one that stands for a connection: keep one, not copies.
public struct Session<P: Peer> {
    /// Where a session stands.
    public enum State {
        /// It has not said what it wants.
        case undecided
        /// Every line is a message.
        case publishing(Membership<P>)
        /// It gets messages, and may only say `BYE`.
        case subscribed(Membership<P>)
        /// Nothing it says matters any more. Terminal.
        case ended
    }

    /// What may happen to a session.
    private enum Event {
        /// A command came, or what can only be one: a publisher's or a subscriber's `BYE`.
        case command(Command)
        /// Whole messages came.
        case messages(MessageBatch)
        /// What came breaks the protocol or a limit.
        case violation(ProtocolError)
        /// What waited to be sent has been.
        case drained
        /// The connection ended.
        case closed(Departure)
    }

    /// Where it stands. A subscriber that the broker dismissed finds out with the next bytes, or the end.
    public private(set) var state = State.undecided

    private let broker: Broker<P>
    private(set) var lines: LineReader

    /// An undecided session on `broker`, which it keeps alive.
    public init(on broker: Broker<P>) {
        self.broker = broker
        lines = LineReader(limit: broker.configuration.limits.commandLine)
    }

    /// Whether it has ended, for whatever reason: nothing it is fed has an effect any more.
    public var isEnded: Bool {
        if case .ended = state { true } else { false }
    }

    /// Whether it is a publisher that waits, because a subscriber of its channel is behind.
    ///
    /// Nothing is read from its connection then: that nothing comes does not mean that it is idle.
    public var isPaused: Bool {
        if case .publishing(let membership) = state { membership.channel.isPaused } else { false }
    }

    /// Takes the next bytes of the connection, cut anywhere, and does all that follows from them.
    ///
    /// Messages that these bytes complete are with the peers of all subscribers when this returns. `bytes` is shared, not
    /// copied, by whoever gets it; the beginning of a message may keep it alive, see ``PubSubLimits/heldSegments``. After
    /// the session has ended, bytes are ignored.
    ///
    /// - Parameters:
    ///   - bytes: What was received.
    ///   - peer: Where they came from, and where replies go: the same one every time.
    public mutating func receive(_ bytes: Bytes, from peer: P) {
        broker.statistics.bytesIn += UInt64(bytes.count)
        let held = lines.segmentsHeld
        var rest = bytes
        while let event = nextEvent(from: &rest) {
            transition(on: event, peer: peer)
        }
        lines.recycle()
        broker.statistics.segmentsHeld += lines.segmentsHeld - held
    }

    /// Tells that of what waited to be sent to `peer` so little is left that more is welcome: what follows each time that
    /// its `send` answered `backlogged`.
    ///
    /// Publishers that waited for this subscriber alone have been told to go on when this returns. Has no effect if none
    /// did, and on sessions that are not subscribers.
    ///
    /// - Parameter peer: The peer that `receive` was called with.
    public mutating func drained(peer: P) {
        endIfDismissed()
        transition(on: .drained, peer: peer)
    }

    /// Ends the session because its connection has ended, or is about to: its place is free when this returns.
    ///
    /// A message that has not ended is dropped and counted. The peer is neither sent anything nor closed. Does nothing if
    /// the session has ended already.
    ///
    /// - Parameters:
    ///   - departure: Why, for logs.
    ///   - peer: The peer that `receive` was called with.
    public mutating func ended(_ departure: Departure, peer: P) {
        endIfDismissed()
        let held = lines.segmentsHeld
        transition(on: .closed(departure), peer: peer)
        broker.statistics.segmentsHeld += lines.segmentsHeld - held
    }

    /// The next thing that `rest` has to say in this state, which is taken off its front; nil if there is none.
    private mutating func nextEvent(from rest: inout Bytes) -> Event? {
        do throws(ProtocolError) {
            endIfDismissed()
            switch state {
            case .undecided:
                guard let line = try lines.next(from: &rest) else { return nil }
                return .command(try Command(line))
            case .publishing:
                let copied = lines.bytesCopied
                defer { broker.statistics.bytesCopied += UInt64(lines.bytesCopied - copied) }
                switch try lines.nextMessages(from: &rest, holding: broker.mayHoldSegment) {
                case .messages(let batch): return .messages(batch)
                case .bye: return .command(.bye)
                case nil: return nil
                }
            case .subscribed:
                guard let line = try lines.next(from: &rest) else { return nil }
                guard line.isBye else { throw .subscriberMayOnlyLeave(echo: Escaping.echo(line.content)) }
                return .command(.bye)
            case .ended:
                return nil
            }
        } catch {
            return .violation(error)
        }
    }

    /// The one place where the state changes.
    private mutating func transition(on event: Event, peer: P) {
        switch (state, event) {
        case (.undecided, .command(.publish(let name))):
            do {
                state = .publishing(try broker.addPublisher(peer, to: name))
                lines.limit = broker.configuration.limits.message
            } catch {
                transition(on: .violation(error), peer: peer)
            }
        case (.undecided, .command(.subscribe(let name))):
            do {
                state = .subscribed(try broker.addSubscriber(peer, to: name))
            } catch {
                transition(on: .violation(error), peer: peer)
            }
        case (.undecided, .command(.bye)):
            end()
            broker.emit(.left(peer, .undecided, .bye))
            peer.close()
        case (.undecided, .violation(let error)):
            end()
            broker.emit(.left(peer, .undecided, .refused(error)))
            refuse(peer, error)
        case (.undecided, .closed(let departure)):
            end()
            broker.emit(.left(peer, .undecided, departure))

        case (.publishing(let membership), .messages(let batch)):
            broker.publish(batch, on: membership.channel)
        case (.publishing(let membership), .command(.bye)):
            end()
            broker.removePublisher(peer, membership, .bye)
            peer.close()
        case (.publishing(let membership), .violation(let error)):
            end()
            broker.removePublisher(peer, membership, .refused(error))
            refuse(peer, error)
        case (.publishing(let membership), .closed(let departure)):
            let fragment = lines.unfinishedCount
            end()
            if fragment > 0 { broker.dropFragment(of: fragment, from: peer, to: membership.channelName) }
            broker.removePublisher(peer, membership, departure)

        case (.subscribed(let membership), .command(.bye)):
            end()
            broker.removeSubscriber(peer, membership, .bye)
            peer.close()
        case (.subscribed(let membership), .violation(let error)):
            end()
            broker.removeSubscriber(peer, membership, .refused(error))
            refuse(peer, error)
        case (.subscribed(let membership), .closed(let departure)):
            end()
            broker.removeSubscriber(peer, membership, departure)

        case (.subscribed(let membership), .drained):
            broker.drained(membership)

        case (.undecided, .drained), (.publishing, .drained), (.ended, .drained), (.ended, .closed):
            break

        // `nextEvent` makes none of these, whatever the peer sends.
        case (.undecided, .messages),
            (.publishing, .command(.publish)), (.publishing, .command(.subscribe)),
            (.subscribed, .command(.publish)), (.subscribed, .command(.subscribe)), (.subscribed, .messages),
            (.ended, .command), (.ended, .messages), (.ended, .violation):
            preconditionFailure("a session cannot take \(event) when it is \(state)")
        }
    }

    /// Becomes `ended`, and lets go of all memory.
    private mutating func end() {
        state = .ended
        lines.dropUnfinished()
    }

    /// The broker dismisses subscribers without asking their sessions: this is where a session finds out.
    private mutating func endIfDismissed() {
        if case .subscribed(let membership) = state, !membership.channel.subscribers.contains(membership.id) {
            end()
        }
    }

    private func refuse(_ peer: P, _ error: ProtocolError) {
        broker.statistics.errors += 1
        broker.reply(.error(reason: error.reason), to: peer)
        peer.close()
    }
}
