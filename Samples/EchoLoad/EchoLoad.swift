import ArgumentParser
import UringReactor

/// The load generator for echo servers.
struct EchoLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo-load",
        abstract: "Sends to an echo server over many connections, compares what comes back, and measures.",
        discussion: """
            Every byte that comes back is compared with what was sent. Exit status 0 only if all came back, and no \
            connection ended that should not. Latency is from when a message was handed to send until its last byte is \
            back, in the reactor's clock. One thread on one reactor.

              samples echo-load --self                              64 connections, 64 bytes, one at a time
              samples echo-load --port 7007 --depth 16 --size 4096  against a server that runs already
            """
    )

    @OptionGroup(title: "Server") var target: TargetOptions

    @Option(help: "How many connections.")
    var connections = EchoPlan().connections

    @Option(help: ArgumentHelp("Bytes of a message.", valueName: "bytes"))
    var size = EchoPlan().size

    @Option(help: ArgumentHelp("Messages of a connection that are under way.", valueName: "messages"))
    var depth = EchoPlan().depth

    @Option(help: ArgumentHelp("How long; 10 seconds, unless --messages is given.", valueName: "seconds"))
    var duration: Double?

    @Option(help: "How many messages each connection sends.")
    var messages: UInt64?

    @Option(help: "How the clients are written: callbacks or state-machine.")
    var style = LoadStyle.stateMachine

    @Option(help: ArgumentHelp("How long the server may take to send anything back.", valueName: "seconds"))
    var patience = EchoPlan().patience

    @OptionGroup(title: "Report") var report: ReportOptions

    func validate() throws { _ = try plan() }

    func plan() throws -> EchoPlan {
        var plan = EchoPlan()
        plan.connections = connections
        plan.size = size
        plan.depth = depth
        plan.duration = duration ?? (messages == nil ? 10 : nil)
        plan.messages = messages
        plan.style = style
        plan.patience = patience
        if let objection = plan.objection(mostDescriptors: mostDescriptors()) { throw ValidationError(objection) }
        return plan
    }

    func run() throws {
        let plan = try plan()
        try report.prepare()
        raiseDescriptorLimit()
        let server = try target.server(["echo-server"], patience: .seconds(plan.patience))
        var configuration = ReactorConfiguration()
        configuration.maximumConnections = plan.descriptors + 64
        let reactor = try Reactor(configuration: configuration)
        let run = EchoRun(plan, at: server.address, on: reactor, clock: monotonicNanoseconds)
        var measured = LoadReport(
            title: "echo-load \(server.address), \(plan.summary)", unit: "echoes", latency: run.recorder,
            client: "connection")
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
