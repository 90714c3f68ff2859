import PubSub
import UringReactor

/// Publishers and subscribers as state machines. An event costs no allocation.
private struct PublisherMachine: ConnectionHandler {
    /// Its way out: sends, and says whether there is room for more.
    private struct Link: PublisherLink {
        let connection: Connection
        func send(_ bytes: Bytes) -> Bool { connection.send(bytes) == .queued }
    }

    let publisher: LoadPublisher
    let run: LoadRun
    private var lines = LineReader(limit: 1_024)
    private var sawEnd = false

    init(_ publisher: LoadPublisher, in run: LoadRun) {
        self.publisher = publisher
        self.run = run
    }

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .opened:
            connection.send(Command.publish(publisher.channel).line)
        case .received(var bytes):
            while let line = try lines.next(from: &bytes) {
                run.heard(Reply(line), by: publisher, link: Link(connection: connection))
            }
        case .drained:
            run.drained(publisher)
        case .ended:
            sawEnd = true
            return .close
        case .timedOut: break
        case .closed(let reason):
            run.closed(publisher, reason, sawEnd: sawEnd)
        }
        return .continue
    }
}

private struct SubscriberMachine: ConnectionHandler {
    private struct Link: SubscriberLink {
        let connection: Connection
        func send(_ command: Command) { connection.send(command.line) }
        func hurry() {
            connection.setDeadline(after: nil)
            connection.resumeReading()
        }
    }

    let subscriber: LoadSubscriber
    let run: LoadRun

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .opened:
            subscriber.link = Link(connection: connection)
            connection.send(Command.subscribe(subscriber.publisher.channel).line)
        case .received(let bytes):
            try run.received(bytes, by: subscriber)
            if subscriber.isSlow, run.phase == .publishing {
                connection.pauseReading()
                connection.setDeadline(after: .seconds(run.plan.slowPause))
            }
        case .timedOut:
            connection.resumeReading()
        case .ended:
            subscriber.sawEnd = true
            return .close
        case .drained: break
        case .closed(let reason):
            run.closed(subscriber, reason)
        }
        return .continue
    }
}

extension LoadStyle {
    /// Connects a publisher, in this style.
    func connect(_ publisher: LoadPublisher, in run: LoadRun) {
        switch self {
        case .stateMachine:
            run.reactor.connect(
                to: run.address, timeout: run.connectTimeout, options: run.options, socketOptions: run.socketOptions,
                handler: PublisherMachine(publisher, in: run))
        case .callbacks: CallbackPublisher.connect(publisher, in: run)
        }
    }

    /// Connects a subscriber, in this style.
    func connect(_ subscriber: LoadSubscriber, in run: LoadRun) {
        switch self {
        case .stateMachine:
            run.reactor.connect(
                to: run.address, timeout: run.connectTimeout, options: run.options, socketOptions: run.socketOptions,
                handler: SubscriberMachine(subscriber: subscriber, run: run))
        case .callbacks: CallbackSubscriber.connect(subscriber, in: run)
        }
    }
}
