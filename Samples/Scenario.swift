import ArgumentParser
import PubSub
import UringReactor

/// The pub/sub server and its clients in one process, verified step by step: what this package was made for.
struct Scenario: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scenario",
        abstract: "Runs a pub/sub server and its clients in one process and verifies each step.",
        discussion: """
            Three rounds: clients written with callbacks, as state machines, and mixed. Exit status 0 only if every step \
            held.
            """
    )

    @Option(
        help: ArgumentHelp(
            "How long a round may take before the step it waits for counts as failed.", valueName: "seconds"))
    var patience = 20.0

    @Option(help: "When the kernel is entered: `turn`, or a number of operations.")
    var batching = BatchingPolicy.turn

    func run() throws {
        var configuration = ReactorConfiguration()
        configuration.batching = batching
        for round in ScenarioRound.Cast.allCases {
            printLine("\(round.title)")
            let reactor = try Reactor(configuration: configuration)
            let play = try ScenarioRound(round, on: reactor, patience: .seconds(patience)) { printLine("  \($0)") }
            try reactor.run()
            try play.verifyAll()
            printLine("\(reactor.statistics)\n\(play.service.summary)\n")
        }
        printLine("All steps held, in all rounds.")
    }
}

/// One round: eleven steps, each of which does something and then waits for what must come of it. Nobody sleeps: whatever
/// happens on the server or at a client has the step that is waited for looked at again.
final class ScenarioRound {
    /// Who plays the clients.
    enum Cast: CaseIterable {
        case callbacks, stateMachines, mixed

        var title: String {
            switch self {
            case .callbacks: "Clients with callbacks"
            case .stateMachines: "Clients as state machines"
            case .mixed: "Clients of both kinds"
            }
        }

        fileprivate var publisher: any ClientStyle.Type { self == .callbacks ? CallbackStyle.self : StateMachineStyle.self }
        fileprivate var first: any ClientStyle.Type { self == .stateMachines ? StateMachineStyle.self : CallbackStyle.self }
        fileprivate var second: any ClientStyle.Type { self == .callbacks ? CallbackStyle.self : StateMachineStyle.self }
    }

    /// Something to do, and what must follow.
    private struct Step {
        let title: String
        let action: () throws -> Void
        let holds: () -> Bool
    }

    /// A subscriber, as its owner sees it.
    private final class Subscriber {
        var connection: Connection?
        var isReady = false
        var messages: [Bytes] = []
        var end: ClientEnd?
    }

    private(set) var service: PubSubService
    private let cast: Cast
    private let reactor: Reactor
    private let say: (String) -> Void
    private let channel: ChannelName
    private let script = ScriptedMessages()
    private let events: Events
    private var publisherIsReady = false
    private var publisherEnd: ClientEnd?
    private let (ann, ben) = (Subscriber(), Subscriber())
    /// Empty when all have held.
    private var steps: [Step] = []
    private var failedStep: String?
    private var current = 0
    /// What the broker had done before the last message.
    private var before = BrokerStatistics?.none
    private var failure: String?

    /// What the server has said so far.
    private final class Events {
        var all: [BrokerEvent<ConnectionPeer>] = []
        var whenever: () -> Void = {}
    }

    private static let messages: [Bytes] = ["the first message\n", "the second message\r\n", "the last message\n"]

    /// Prepares a round; it plays when the reactor runs, which it stops at the end.
    init(_ cast: Cast, on reactor: Reactor, patience: Duration, say: @escaping (String) -> Void) throws {
        self.cast = cast
        self.reactor = reactor
        self.say = say
        channel = try ChannelName("weather")
        let events = Events()
        self.events = events
        service = try PubSubService(
            on: .loopback(), configuration: ServerConfiguration(), broker: BrokerConfiguration(), reactor: reactor
        ) {
            events.all.append($0)
            events.whenever()
        }
        steps = makeSteps()
        events.whenever = { [unowned self] in lookAgain() }
        reactor.after(.zero) { [self] in try begin() }
        reactor.after(patience) { [self] in fail("no end after \(patience)") }
    }

    private func makeSteps() -> [Step] {
        let broker = service.broker
        func counts() -> BrokerStatistics { broker.statistics }
        func deliveries() -> UInt64 { counts().deliveries }
        return [
            Step(title: "started a server on \(service.server.address)") {
            } holds: { [service] in
                service.server.address.port != 0
            },
            Step(title: "created a publisher, and the server knows it") { [self] in
                cast.publisher.publish(
                    script, to: channel, at: service.server.address, on: reactor,
                    onReady: { self.publisherIsReady = true; self.lookAgain() },
                    onEnd: { self.publisherEnd = self.publisherEnd ?? $0; self.lookAgain() })
            } holds: { [self] in
                publisherIsReady && broker.publisherCount(of: channel) == 1
            },
            Step(title: "created two subscribers, and the server knows both") { [self] in
                subscribe(ann, cast.first)
                subscribe(ben, cast.second)
            } holds: { [self] in
                ann.isReady && ben.isReady && broker.subscriberCount(of: channel) == 2
            },
            Step(title: "published a message") { [self] in
                script.give(ScenarioRound.messages[0])
            } holds: {
                counts().messagesPublished == 1
            },
            Step(title: "both subscribers got it") {
            } holds: { [self] in
                ann.messages == [ScenarioRound.messages[0]] && ben.messages == ann.messages && deliveries() == 2
            },
            Step(title: "one subscriber said BYE and left") { [self] in
                ann.connection?.send(Command.bye.line)
            } holds: { [self] in
                ann.end == .finished
            },
            Step(title: "the server has forgotten it") {
            } holds: { [self] in
                broker.subscriberCount(of: channel) == 1 && departures() == 1
            },
            Step(title: "published again") { [self] in
                script.give(ScenarioRound.messages[1])
            } holds: {
                counts().messagesPublished == 2
            },
            Step(title: "the other subscriber got it, the one that left did not") {
            } holds: { [self] in
                ben.messages == Array(ScenarioRound.messages[..<2]) && ann.messages == [ScenarioRound.messages[0]]
                    && deliveries() == 3
            },
            Step(title: "the last subscriber left, and the server has forgotten it") { [self] in
                ben.connection?.send(Command.bye.line)
            } holds: { [self] in
                ben.end == .finished && broker.subscriberCount(of: channel) == 0 && departures() == 2
            },
            // The publisher's BYE comes after its message, so when the server knows that it left it has seen the message.
            Step(title: "published to nobody: the server got the message and sent nothing") { [self] in
                before = counts()
                script.give(ScenarioRound.messages[2])
                script.end()
            } holds: { [self] in
                publisherEnd == .finished && counts().messagesPublished == 3
                    && counts().deliveries == before?.deliveries && counts().bytesOut == before?.bytesOut
            },
        ]
    }

    private func subscribe(_ subscriber: Subscriber, _ style: any ClientStyle.Type) {
        subscriber.connection = style.subscribe(
            to: channel, at: service.server.address, on: reactor,
            onReady: { [self] in
                subscriber.isReady = true
                lookAgain()
            },
            onMessage: { [self] in
                subscriber.messages.append($0)
                lookAgain()
            },
            onEnd: { [self] in
                subscriber.end = subscriber.end ?? $0
                lookAgain()
            })
    }

    /// Subscribers that left politely, as the server saw it.
    private func departures() -> Int {
        events.all.count { if case .left(_, .subscriber, .bye) = $0 { true } else { false } }
    }

    // MARK: - Playing

    private func begin() throws {
        guard current < steps.count else { return finish() }
        try steps[current].action()
        lookAgain()
    }

    /// Goes on, on a turn of its own, if what is waited for has come.
    private func lookAgain() {
        guard current < steps.count, failure == nil, steps[current].holds() else { return }
        say("\(current + 1 < 10 ? " " : "")\(current + 1)  \(steps[current].title)")
        current += 1
        reactor.after(.zero) { [self] in try begin() }
    }

    private func finish() {
        // They name this round, which names them.
        steps = []
        service.server.whenStopped = { [reactor] in reactor.stop() }
        service.server.stop()
    }

    private func fail(_ reason: String) {
        failure = reason
        if current < steps.count { failedStep = steps[current].title }
        steps = []
        reactor.stop()
    }

    /// - Throws: what step failed, if one did.
    func verifyAll() throws {
        guard failure != nil || !steps.isEmpty else { return }
        let title = failedStep ?? (current < steps.count ? steps[current].title : "the end")
        throw ScenarioFailure(
            description: "step \(current + 1) failed (\(title)): \(failure ?? "the reactor stopped")")
    }
}

struct ScenarioFailure: Error, CustomStringConvertible {
    let description: String
}

/// Messages when the scenario says so.
private final class ScriptedMessages: MessageSource {
    private var waiting: ((Result<Bytes?, any Error>) -> Void)?
    private var given: [Bytes?] = []

    func give(_ message: Bytes) { add(message) }
    func end() { add(nil) }

    private func add(_ message: Bytes?) {
        given.append(message)
        if let waiting {
            self.waiting = nil
            next(waiting)
        }
    }

    func next(_ deliver: @escaping (Result<Bytes?, any Error>) -> Void) {
        if given.isEmpty {
            waiting = deliver
        } else {
            deliver(.success(given.removeFirst()))
        }
    }
}
