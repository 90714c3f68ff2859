import UringReactor

/// A load test of an echo server under way: connects all, and then keeps so many messages of each under way.
///
///     connecting ──▶ echoing ──▶ draining ──▶ over
///
/// In the end what is under way comes back, and then the connections are closed.
final class EchoRun {
    enum Phase: Comparable {
        case connecting, echoing, draining, over
    }

    let plan: EchoPlan
    let address: SocketAddress
    let reactor: Reactor
    let recorder = LatencyRecorder()
    let clients: [EchoLoadClient]
    private(set) var phase = Phase.connecting
    private(set) var series = RateSeries()
    private(set) var tally = LoadTally()
    private(set) var corrupt: UInt64 = 0
    private(set) var startedAt: UInt64 = 0
    private(set) var lastEcho: UInt64 = 0
    /// The time, exactly: the reactor's is that of the beginning of a turn.
    let clock: () -> UInt64
    /// Called a few times a second, and at each change of the phase.
    var onTick: () -> Void = {}
    /// Called when all are connected.
    var onBegin: () -> Void = {}

    private var nextToConnect = 0
    private(set) var connected = 0
    private var open = 0
    /// Those of which nothing is under way any more.
    private var quiet = 0
    private var lastProgress: UInt64 = 0

    /// Connections that are being made at once: fewer than the kernel queues for a server that listens.
    private static let mostConnecting = 256

    init(_ plan: EchoPlan, at address: SocketAddress, on reactor: Reactor, clock: @escaping () -> UInt64) {
        self.plan = plan
        self.address = address
        self.reactor = reactor
        self.clock = clock
        clients = (0..<plan.connections).map { EchoLoadClient(number: $0, plan: plan) }
    }

    func elapsed(at time: UInt64) -> UInt64 { time - min(time, startedAt) }

    var seconds: Double { Double(elapsed(at: lastEcho)) / 1e9 }

    /// What is done of the present phase, from 0 to 1.
    var share: Double {
        switch phase {
        case .connecting: Double(connected) / Double(plan.connections)
        case .echoing:
            if let messages = plan.messages {
                Double(recorder.count) / (Double(messages) * Double(plan.connections))
            } else {
                Double(elapsed(at: clock())) / ((plan.duration ?? 1) * 1e9)
            }
        case .draining, .over: 1
        }
    }

    // MARK: - Connecting

    /// Begins; to be called once, on the reactor's thread.
    func start() {
        startedAt = clock()
        lastProgress = startedAt
        reactor.every(.milliseconds(100)) { [self] in tick() }
        connectMore()
    }

    private func connectMore() {
        while nextToConnect < clients.count, nextToConnect - connected < EchoRun.mostConnecting {
            open += 1
            nextToConnect += 1
            plan.style.connect(clients[nextToConnect - 1], in: self)
        }
    }

    var options: ConnectionOptions {
        var options = ConnectionOptions()
        options.writeTimeout = nil
        return options
    }
    var connectTimeout: Duration { .seconds(plan.patience) }
    var socketOptions: [SocketOption: Int] { address.family == .unix ? [:] : [.noDelay: 1] }

    /// A connection is open.
    func opened(_ client: EchoLoadClient, _ link: any EchoLink) {
        client.link = link
        connected += 1
        lastProgress = clock()
        guard phase == .connecting else { return }
        if connected == clients.count { begin() } else { connectMore() }
    }

    // MARK: - Echoing

    private func begin() {
        phase = .echoing
        startedAt = clock()
        lastEcho = startedAt
        onBegin()
        if let duration = plan.duration { reactor.after(.seconds(duration)) { [self] in drain() } }
        for client in clients { client.send(at: clock()) }
    }

    /// Something has come back.
    func received(_ bytes: Bytes, by client: EchoLoadClient) {
        guard phase > .connecting else { return fail("the server spoke first: it is no echo server") }
        let returned = client.returned
        client.check(bytes, at: reactor.now, recorder)
        if client.isCorrupt {
            corrupt += 1
            client.link?.close()
            return drain()
        }
        lastProgress = reactor.now
        guard client.returned > returned else { return }
        lastEcho = reactor.now
        if phase == .echoing {
            client.send(at: clock())
            if client.isComplete { noteQuiet() }
        } else if phase == .draining, client.isQuiet {
            noteQuiet()
        }
    }

    private func noteQuiet() {
        quiet += 1
        guard quiet == clients.count else { return }
        if phase == .echoing { phase = .draining }
        close()
    }

    /// There is room for more.
    func drained(_ client: EchoLoadClient) {
        if phase == .echoing { client.drained(at: clock()) }
    }

    /// A connection has ended.
    func closed(_ client: EchoLoadClient, _ reason: CloseReason) {
        client.hasEnded = true
        guard phase != .over else { return }
        open -= 1
        if !isClosing {
            if !client.isCorrupt {
                tally.note(.connection, ended: reason, sawEnd: client.sawEnd, answered: true)
            }
            if phase == .connecting { return end() }
            drain()
        }
        if open == 0 { end() }
    }

    // MARK: - The end

    private var isClosing = false

    /// Ends early; what was measured until now counts.
    func interrupt() {
        guard phase < .draining else { return }
        if phase == .connecting {
            fail("interrupted after \(connected) of \(plan.connections) connections")
        } else {
            tally.wasInterrupted = true
            drain()
        }
    }

    /// Sends nothing more, and waits for what is under way.
    private func drain() {
        guard phase == .echoing else { return }
        phase = .draining
        onTick()
        quiet = clients.count { $0.isQuiet }
        if quiet == clients.count { close() }
    }

    private func close() {
        isClosing = true
        for client in clients { client.link?.close() }
    }

    private func fail(_ failure: String) {
        guard phase != .over else { return }
        tally.note(failure)
        end()
    }

    private func end() {
        guard phase != .over else { return }
        if phase > .connecting { series.end(total: recorder.count, at: elapsed(at: lastEcho)) }
        phase = .over
        onTick()
        reactor.stop()
    }

    private func tick() {
        let now = clock()
        let isLate = now - min(now, lastProgress) > UInt64(plan.patience * 1e9)
        switch phase {
        case .connecting:
            if isLate { fail("\(clients.count - connected) connections were not made within \(plan.patience) s") }
        case .echoing, .draining:
            series.note(total: recorder.count, at: elapsed(at: now))
            if isLate, !isClosing { fail("nothing came back for \(plan.patience) s") }
            // The server has sent all back, and need not end as well.
            if isLate, isClosing { end() }
        case .over: break
        }
        onTick()
    }

    // MARK: - Telling

    /// How far it is.
    var progress: String {
        guard phase > .connecting else { return "connecting: \(connected) of \(plan.connections)" }
        let now = Double(recorder.count) / max(1e-3, Double(elapsed(at: clock())) / 1e9)
        let rate = series.counts.last.map { Double($0) * 1e9 / Double(series.interval) } ?? now
        let latency = Amount.time(nanoseconds: recorder.percentile(99))
        return "\(Amount.grouped(recorder.count)) echoes, \(Amount.short(rate))/s, p99 \(latency)"
    }

    /// Adds to a report what this run knows, when it is over.
    func fill(_ report: inout LoadReport) {
        report.settings = plan.settings
        report.seconds = seconds
        report.series = series
        if seconds > 0 { report.rates = clients.map { Double($0.returned) / seconds } }
        report.meanLatencies = clients.filter { $0.returned > 0 }.map { Double($0.latencies) / Double($0.returned) }
        let missing = clients.reduce(UInt64(0)) { $0 + ($1.sent - $1.returned) }
        let sent = clients.reduce(UInt64(0)) { $0 + $1.sent }
        report.counts = [("sent", sent), ("not returned", missing), ("corrupt connections", corrupt)]
        if tally.wasInterrupted { report.notes.append("interrupted: this is what was measured until then") }
        if corrupt > 0 { report.failures.append("what came back on \(corrupt) connections was not what was sent") }
        if missing > 0 { report.failures.append("\(Amount.grouped(missing)) messages did not come back") }
        report.failures += tally.summary
    }
}
