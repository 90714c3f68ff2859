import ArgumentParser
import Glibc
import UringReactor

/// The load generator for the pub/sub protocol.
struct LoadTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load-test",
        abstract: "Publishes and subscribes with many connections, checks every delivery, and measures.",
        discussion: """
            Publishers begin when every subscriber has its OK. Each message says which it is and when it was to be sent, \
            with a checksum: what is lost, doubled, reordered or changed is counted, and then the exit status is 1; also if \
            a connection ends that should not, or the server does not answer.

            Latency is from when a message was to be sent (with --rate) or was handed to send (with --window) until it has \
            come, in the reactor's clock, so a server that stalls is not spared the messages that had to wait. One thread \
            on one reactor.

              samples load-test --self                                       as fast as it goes, 10 subscribers
              samples load-test --self --rate 1000 --plot load.svg           1,000 messages a second
              samples load-test --port 7008 --publishers 50 --size 64-4096   against a server that runs already
            """
    )

    @OptionGroup(title: "Server") var target: TargetOptions

    @Option(help: "How many publishers, each on a channel of its own.")
    var publishers = 1

    @Option(help: "How many subscribers each publisher has.")
    var subscribers = 10

    @Option(
        help: ArgumentHelp(
            """
            Bytes of a message with its line ending: a number, a range such as 64-4096, or sizes with weights such as \
            64:90,4096:9,1048576:1. At least 33, of which 32 say which message it is.
            """, valueName: "bytes"))
    var size = "128"

    @Option(help: "What draws the sizes.")
    var seed: UInt64 = 1

    @Option(
        help: ArgumentHelp(
            "Messages a second of each publisher; 0 for as fast as they are delivered, see --window.", valueName: "number"))
    var rate = 0.0

    @Option(
        help: ArgumentHelp(
            """
            Without --rate: messages of a publisher that may be under way. The next is sent when all its subscribers have \
            the oldest.
            """, valueName: "messages"))
    var window = 8

    @Option(
        help: ArgumentHelp("How long publishers publish; 10 seconds, unless --messages is given.", valueName: "seconds"))
    var duration: Double?

    @Option(help: "How many messages each publisher publishes.")
    var messages: UInt64?

    @Option(help: ArgumentHelp("Spread the connecting over so long.", valueName: "seconds"))
    var rampUp = 0.0

    @Option(help: "How the clients are written: callbacks or state-machine.")
    var style = LoadStyle.stateMachine

    @Option(
        help: ArgumentHelp(
            "Subscribers that leave each second while messages are published, each replaced by a new one.",
            valueName: "number"))
    var churn = 0.0

    @Option(
        help: ArgumentHelp(
            """
            The fraction of subscribers, from 0 to 1, that read slowly: they pause after each read. What the server drops \
            of theirs, and whom it disconnects, is no loss; --window does not wait for them.
            """, valueName: "fraction"))
    var slow = 0.0

    @Option(help: ArgumentHelp("How long a slow subscriber pauses after each read.", valueName: "seconds"))
    var slowPause = 0.1

    @Option(
        help: ArgumentHelp(
            "How long the server may take to answer, or to deliver anything of what it has got.", valueName: "seconds"))
    var patience = 10.0

    @Option(
        help: ArgumentHelp(
            "How long deliveries may take when the publishers have finished; what has not come then is lost.",
            valueName: "seconds"))
    var drainTimeout = 10.0

    @OptionGroup(title: "Report") var report: ReportOptions

    func validate() throws { _ = try plan() }

    func plan() throws -> LoadPlan {
        var plan = LoadPlan()
        do {
            plan.size = try MessageSize(size, smallest: MessageHead.smallestSize)
        } catch {
            throw ValidationError("--size: \(error)")
        }
        plan.publishers = publishers
        plan.subscribers = subscribers
        plan.rate = rate
        plan.window = window
        plan.duration = duration ?? (messages == nil ? 10 : nil)
        plan.messages = messages
        plan.rampUp = rampUp
        plan.style = style
        plan.churn = churn
        plan.slow = slow
        plan.slowPause = slowPause
        plan.patience = patience
        plan.drainTimeout = drainTimeout
        plan.seed = seed
        if let objection = plan.objection(mostDescriptors: mostDescriptors()) { throw ValidationError(objection) }
        return plan
    }

    func run() throws {
        let plan = try plan()
        try report.prepare()
        raiseDescriptorLimit()
        let limit = max(plan.size.largest, 4 << 20)
        let server = try target.server(
            ["pubsub-server", "--log-level", "error", "--max-message", "\(limit)"], patience: .seconds(plan.patience))
        var configuration = ReactorConfiguration()
        configuration.maximumConnections = plan.descriptors + 64
        let reactor = try Reactor(configuration: configuration)
        let run = try LoadRun(
            plan, at: server.address, on: reactor, run: .random(in: 0 ..< 1 << 40), clock: monotonicNanoseconds)
        var measured = LoadReport(
            title: "load-test \(server.address), \(plan.summary)", unit: "deliveries", latency: run.recorder,
            client: "subscriber")
        let measurement = LoadMeasurement(of: server, on: reactor)
        run.onBegin = { measurement.begin() }
        run.onTick = { [unowned run] in
            measurement.show(run.share, at: run.clock(), run.progress)
            if run.phase == .over { measurement.end() }
        }
        // Used by the posted job only, which runs on the reactor's thread.
        nonisolated(unsafe) let interrupted = run
        let signals = TerminationSignals { [handle = reactor.handle] in
            handle.post { unsafe interrupted.interrupt() }
        }
        defer { signals.cancel() }
        reactor.after(.zero) { run.start() }
        try reactor.run()
        run.fill(&measured)
        try measurement.fill(&measured)
        try report.publish(measured)
    }
}

extension LoadStyle: ExpressibleByArgument {}
