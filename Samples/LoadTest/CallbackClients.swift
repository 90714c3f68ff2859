import PubSub
import UringReactor

/// Publishers and subscribers with callbacks; they do what those of StateMachineClients do.
final class CallbackPublisher: PublisherLink {
    private let connection: Connection
    private let publisher: LoadPublisher
    private let run: LoadRun
    /// Bytes that the kernel has not taken yet.
    private var unsent = 0
    private var isFull = false

    private init(_ connection: Connection, _ publisher: LoadPublisher, _ run: LoadRun) {
        self.connection = connection
        self.publisher = publisher
        self.run = run
    }

    static func connect(_ publisher: LoadPublisher, in run: LoadRun) {
        run.reactor.connect(
            to: run.address, timeout: run.connectTimeout, options: run.options, socketOptions: run.socketOptions
        ) { result in
            guard case .success(let connection) = result else {
                if case .failure(let error) = result { run.closed(publisher, .connectFailed(error), sawEnd: false) }
                return
            }
            var sawEnd = false
            connection.whenClosed { run.closed(publisher, $0, sawEnd: sawEnd) }
            connection.send(Command.publish(publisher.channel).line)
            CallbackPublisher(connection, publisher, run).receiveReplies { sawEnd = true }
        }
    }

    private func receiveReplies(_ whenEnded: @escaping () -> Void) {
        connection.receiveLine { [self] result in
            // Whatever else it is, the connection has ended.
            guard case .success(let line?) = result else {
                if case .success(nil) = result { whenEnded() }
                return connection.close()
            }
            run.heard(Reply(Line(line)), by: publisher, link: self)
            receiveReplies(whenEnded)
        }
    }

    func send(_ bytes: Bytes) -> Bool {
        unsent += bytes.count
        if unsent > run.options.highWatermark { isFull = true }
        connection.send(bytes) { [self] result in
            unsent -= bytes.count
            guard case .success = result, isFull, unsent <= run.options.lowWatermark else { return }
            isFull = false
            run.drained(publisher)
        }
        return !isFull
    }
}

final class CallbackSubscriber: SubscriberLink {
    private let connection: Connection
    private let subscriber: LoadSubscriber
    private let run: LoadRun
    /// The end of a pause, if it is slow.
    private var pause: OperationToken?

    private init(_ connection: Connection, _ subscriber: LoadSubscriber, _ run: LoadRun) {
        self.connection = connection
        self.subscriber = subscriber
        self.run = run
    }

    static func connect(_ subscriber: LoadSubscriber, in run: LoadRun) {
        run.reactor.connect(
            to: run.address, timeout: run.connectTimeout, options: run.options, socketOptions: run.socketOptions
        ) { result in
            guard case .success(let connection) = result else {
                if case .failure(let error) = result { run.closed(subscriber, .connectFailed(error)) }
                return
            }
            connection.whenClosed { run.closed(subscriber, $0) }
            let link = CallbackSubscriber(connection, subscriber, run)
            subscriber.link = link
            link.send(.subscribe(subscriber.publisher.channel))
            link.receive()
        }
    }

    private func receive() {
        connection.receive { [self] result in
            guard case .success(let bytes?) = result else {
                if case .success(nil) = result { subscriber.sawEnd = true }
                return connection.close()
            }
            try run.received(bytes, by: subscriber)
            guard subscriber.isSlow, run.phase == .publishing else { return receive() }
            pause = run.reactor.after(.seconds(run.plan.slowPause)) { [self] in
                pause = nil
                receive()
            }
        }
    }

    func send(_ command: Command) { connection.send(command.line) }

    func hurry() {
        guard let pause, run.reactor.cancel(pause) else { return }
        self.pause = nil
        receive()
    }
}
