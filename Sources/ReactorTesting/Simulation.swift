public import SystemPackage
public import UringReactor

/// A reactor on a simulated kernel, for tests of handlers, servers and clients: the test lets time pass, and looks at what
/// has happened.
///
/// ```swift
/// @Test func echoes() throws {
///     let simulation = try Simulation(seed: 1, faults: .nasty(seed: 1))
///     let server = try Server(on: .loopback(port: 7_000), reactor: simulation.reactor) { _ in Echo() }
///     let peer = try simulation.connect(to: server.address)
///     peer.send("hello")
///     try simulation.run(until: { peer.received == "hello" })
///     peer.shutdown()
///     try simulation.run(until: { peer.sawEnd })
///     try simulation.finish()
/// }
/// ```
///
/// No time passes but simulated time, and that only within ``advance(by:)``, ``run(until:within:)`` and ``finish()``; an
/// hour takes as long as what happens in it. The same seed and the same script give the same steps
/// (``SimulatedKernel/trace``), byte for byte.
///
/// A test that does not end does not fail, so a reactor that turns without end is a failure after a million enters:
/// ``SimulatedKernel/enterLimit`` changes that. A handler that does not return cannot be found out.
///
/// All of it belongs to the thread that makes it. Between two calls the reactor is paused (``Reactor/pause()``), so the test
/// may use it, its servers and its connections as a handler would. Calls that let time pass fail when they come from within
/// one of them: from a handler, a script or a condition.
public final class Simulation {
    public let kernel: SimulatedKernel
    public let reactor: Reactor
    private let seed: UInt64
    private var violations: [String] = []
    private var hasEnded = false
    /// One of the calls that let time pass is under way.
    private var isRunning = false
    /// Where in the test time passes: an error says only in which test it was thrown.
    private var place = ""
    private var peers: [() -> SimulatedPeer?] = []

    /// - Parameters:
    ///   - seed: what the kernel draws from.
    ///   - faults: what goes wrong at random; see ``SimulatedKernel/faults`` to change it on the way.
    ///   - configuration: what the machine is like. Its own `faults` are not used.
    ///   - reactorConfiguration: the reactor's.
    /// - Throws: ``RingUnavailable`` if the reactor asks for a ring that cannot be.
    public init(
        seed: UInt64 = 0, faults: FaultPlan = .none,
        configuration: SimulatedKernel.Configuration = SimulatedKernel.Configuration(),
        reactor reactorConfiguration: ReactorConfiguration = ReactorConfiguration()
    ) throws(RingUnavailable) {
        self.seed = seed
        kernel = SimulatedKernel(seed: seed, configuration: configuration)
        reactor = try Reactor(configuration: reactorConfiguration, kernel: kernel)
        kernel.faults = faults
        kernel.enterLimit = 1_000_000
        kernel.onViolation = { [unowned self] in violations.append($0) }
    }

    /// Connects a scripted client to a server on the reactor.
    ///
    /// - Throws: `ECONNREFUSED` if nobody listens there.
    public func connect(to address: SocketAddress) throws(Errno) -> SimulatedPeer {
        let peer = try kernel.connect(to: address)
        peers.append { [weak peer] in peer }
        return peer
    }

    /// Listens with a scripted server, for connects of the reactor's.
    public func listen(on address: SocketAddress) -> SimulatedListener {
        kernel.listen(on: address)
    }

    /// Lets simulated time pass, and everything happen that happens in it.
    ///
    /// - Throws: ``SimulationFailure`` if the library did what it must not, or the reactor failed.
    public func advance(
        by duration: Duration, file: StaticString = #fileID, line: UInt = #line
    ) throws(SimulationFailure) {
        try begin(file, line)
        defer { isRunning = false }
        let target = kernel.time + SimulatedKernel.nanoseconds(duration)
        var isOver = hasEnded
        defer { isOver = true }
        if !isOver {
            kernel.schedule(after: duration) { [unowned self] in
                if !isOver { pause() }
                isOver = true
            }
        }
        while !isOver, !hasEnded { try runOn() }
        // Time passes without a reactor, too.
        isOver = true
        if kernel.time < target { kernel.advance(by: .nanoseconds(target - kernel.time)) }
    }

    /// Lets simulated time pass until something is as it should be.
    ///
    /// - Parameters:
    ///   - condition: looked at before anything happens, and then whenever something may have. It only looks.
    ///   - limit: how much time may pass.
    /// - Throws: ``SimulationFailure`` if it is not so in time, if the reactor ends before, or as ``advance(by:)`` does.
    public func run(
        until condition: @escaping () -> Bool, within limit: Duration = .seconds(60),
        file: StaticString = #fileID, line: UInt = #line
    ) throws(SimulationFailure) {
        try begin(file, line)
        defer { isRunning = false }
        var isOver = false
        // What was scheduled for the limit stays so, and then means nothing any more.
        defer { isOver = true }
        kernel.schedule(after: limit) { [unowned self] in
            if !isOver { pause() }
            isOver = true
        }
        kernel.onLook = { [unowned self] in
            if !isOver, condition() {
                isOver = true
                pause()
            }
        }
        defer { kernel.onLook = nil }
        if condition() { isOver = true }
        while !isOver, !hasEnded { try runOn() }
        if !condition() {
            throw failure(["not so within \(limit)" + (hasEnded ? ", and the reactor has ended" : "")])
        }
    }

    /// Stops the reactor, lets it end, and looks at what is left.
    ///
    /// - Throws: ``SimulationFailure`` if anything is: an operation, a connection, a descriptor, a receive buffer (held by a
    ///   slice of what was received: let go of it, or copy it), or as ``advance(by:)`` does.
    public func finish(file: StaticString = #fileID, line: UInt = #line) throws(SimulationFailure) {
        try begin(file, line)
        defer { isRunning = false }
        if !hasEnded {
            reactor.stop()
            while !hasEnded { try runOn() }
        }
        let statistics = reactor.statistics
        let counts = [
            ("operations in the kernel", kernel.inFlightCount), ("descriptors", kernel.openDescriptors),
            ("callback operations", statistics.operations), ("connections", statistics.connections),
            (
                "receive buffers, held by slices of what was received",
                statistics.receiveBuffersInUse + statistics.largeReceiveBuffersInUse + statistics.pooledBuffersInUse
            ),
        ]
        let left = counts.filter { $0.1 > 0 }.map { "left at the end: \($0.1) \($0.0)" }
        if !left.isEmpty { throw failure(left) }
    }

    private func begin(_ file: StaticString, _ line: UInt) throws(SimulationFailure) {
        if isRunning { throw failure(["time was to pass from within what happens in it"]) }
        isRunning = true
        place = "\(file):\(line)"
    }

    private func pause() {
        reactor.pause()
        kernel.isInterrupted = true
    }

    /// Runs until something pauses it, or to the reactor's end.
    private func runOn() throws(SimulationFailure) {
        do {
            try reactor.run()
        } catch {
            hasEnded = true
            throw failure(["the reactor failed: \(error)"])
        }
        hasEnded = !reactor.isPaused
        kernel.isInterrupted = false
        if !violations.isEmpty { throw failure([]) }
    }

    private func failure(_ texts: [String]) -> SimulationFailure {
        let connected = peers.compactMap { $0() }
        // Those that have ended are known only to the test, and those that connected were not made here.
        let others = kernel.peers.filter { peer in !connected.contains { $0 === peer } }
        let peers = (connected + others).sorted { $0.number < $1.number }.suffix(16)
        return SimulationFailure(
            seed: seed, place: place, texts: violations + texts,
            state: (peers.map(\.description) + [kernel.state]).joined(separator: "\n"))
    }
}

/// What went wrong in a ``Simulation``.
public struct SimulationFailure: Error, CustomStringConvertible {
    /// The seed with which it goes wrong again.
    public let seed: UInt64
    /// Which call of the test let time pass: its file and line.
    public let place: String
    /// What it was, in words.
    public let texts: [String]
    /// What the last 16 peers and the kernel looked like then, and its last steps.
    public let state: String

    public var description: String {
        (texts.map { "seed \(seed), \(place): \($0)" } + [state]).joined(separator: "\n")
    }
}
