import PubSub
import ReactorTesting
import SystemPackage
import UringReactor

/// One run that is derived from one seed: a kernel, a reactor, and a population that does what it likes.
///
/// It goes on until nothing can happen any more. Then everybody ends politely, and until that is over nothing may stand
/// still; then the servers stop, and the reactor.
final class Workload: SeededRun {
    let seed: UInt64
    var random: SplitMix64
    let kernel: SimulatedKernel
    let reactor: Reactor
    /// How many receive buffers the kernel has when nobody else has any, by group.
    private let provided: [Int]
    private(set) var failures: [String] = []
    private(set) var isFinishing = false
    private var stage = Stage.living
    private var streams = 0
    private var parties: [Party] = []
    private var ends: [Ends: Party] = [:]
    private var servers: [Server] = []
    private(set) var messages: BrokerWorkload?

    private enum Stage {
        case living, finishing, stopping, ending
    }

    private struct Ends: Hashable {
        let local: SocketAddress
        let remote: SocketAddress
    }

    init(seed: UInt64) throws {
        self.seed = seed
        random = SplitMix64(seed: seed ^ 0x776f_726b_6c6f_6164)
        kernel = SimulatedKernel(seed: seed, configuration: Workload.kernelConfiguration(seed, &random))
        reactor = try Reactor(configuration: Workload.reactorConfiguration(&random), kernel: kernel)
        provided = (0...1).map { [kernel] in kernel.providedBuffers(ofGroup: $0).count }
    }

    // MARK: - For those in it

    func fail(_ text: String) {
        if failures.count < 5 { failures.append(text) }
    }

    func makeStream() -> Stream {
        streams += 1
        return Stream(number: streams)
    }

    func link(_ party: Party, local: SocketAddress, remote: SocketAddress) {
        ends[Ends(local: local, remote: remote)] = party
        far[ObjectIdentifier(party)] = Ends(local: remote, remote: local)
    }

    private var far: [ObjectIdentifier: Ends] = [:]
    private func farEnd(of party: Party) -> Party? { far[ObjectIdentifier(party)].flatMap { ends[$0] } }

    /// The reactor stops, now and then in the middle of everything.
    func stop() {
        isFinishing = true
        stage = .ending
        kernel.enterLimit = kernel.enters + Workload.mostEntersOfStop
        reactor.stop()
        for party in parties { party.leave() }
        messages?.leave()
    }

    private static let mostEntersOfStop = 50_000

    // MARK: - The run

    var counts: RunCounts {
        let statistics = reactor.statistics
        return RunCounts(
            connections: statistics.connectionsOpened, operations: statistics.submitted, enters: statistics.enters,
            faults: kernel.faultCount)
    }

    func perform() throws -> [String] {
        kernel.onViolation = { [unowned self] in fail("violation: \($0)\n\(kernel.state)") }
        kernel.onStall = { [unowned self] _ in stalled() }
        kernel.enterLimit = 60_000
        try populate()
        try reactor.run()
        checkOver()
        parties = []
        servers = []
        return failures
    }

    private func populate() throws {
        for port in UInt16(7_000)...7_001 {
            let style = number(0...1)
            var configuration = ServerConfiguration()
            configuration.connection = Workload.connectionOptions(&random)
            configuration.drainTimeout = .seconds(5)
            let isEcho = chance(0.4)
            if isEcho { configuration.connection.slowConsumer = .disconnect(farewell: nil) }
            let options = configuration.connection
            let makeName = { [unowned self] in "server connection \(port).\(parties.count)" }
            if style == 0 {
                servers.append(try Server(on: .loopback(port: port), configuration: configuration, reactor: reactor) {
                    [unowned self] _ in
                    PartyHandler(party: add(LibraryParty(self, makeName(), options: options), isEcho: isEcho))
                })
            } else {
                servers.append(try Server(on: .loopback(port: port), configuration: configuration, reactor: reactor) {
                    [unowned self] connection in
                    add(CallbackParty(self, makeName(), options: options), isEcho: isEcho).begin(connection)
                })
            }
        }
        for _ in 0..<number(0...6) {
            kernel.schedule(after: .microseconds(delay())) { [unowned self] in
                let port = UInt16(number(7_000...7_001))
                guard !isFinishing, let peer = try? kernel.connect(to: .loopback(port: port)) else { return }
                parties.append(ScriptedParty(self, "peer \(parties.count)", peer))
            }
        }
        for _ in 0..<number(0...4) {
            reactor.after(.microseconds(delay())) { [unowned self] in connect() }
        }
        if chance(0.6) {
            let broker = try BrokerWorkload(self)
            messages = broker
            servers.append(broker.server)
        }
    }

    private func add<P: LibraryParty>(_ party: P, isEcho: Bool = false) -> P {
        party.isEchoing = isEcho
        parties.append(party)
        return party
    }

    private func connect() {
        guard !isFinishing else { return }
        let options = Workload.connectionOptions(&random)
        let address = SocketAddress.loopback(port: UInt16(number(7_000...7_001)))
        if chance(0.5) {
            let party = add(LibraryParty(self, "client \(parties.count)", options: options))
            reactor.connect(to: address, options: options, handler: PartyHandler(party: party))
        } else {
            let party = add(CallbackParty(self, "callback client \(parties.count)", options: options))
            reactor.connect(to: address, options: options) { result in
                if case .success(let connection) = result { party.begin(connection) }
            }
        }
    }

    // MARK: - Standing still

    /// Nothing can happen any more: looks whether that is as it should be, and goes on to the next stage.
    private func stalled() -> SimulatedKernel.StallAnswer {
        switch stage {
        case .living:
            checkStandstill()
            stage = .finishing
            soon { [unowned self] in
                isFinishing = true
                for party in parties { party.finish() }
                messages?.finish()
            }
        case .finishing:
            checkStandstill()
            messages?.check()
            stage = .stopping
            soon { [unowned self] in
                for party in parties { party.release() }
                for server in servers { server.stop() }
            }
        case .stopping:
            // All are over but those that only we could end.
            if reactor.statistics.servers > 0 { fail("servers did not stop\n\(kernel.state)") }
            checkReceives()
            checkBuffers()
            soon { [unowned self] in stop() }
        case .ending: return .fail
        }
        return .lookAgain
    }

    /// Does something in the next turn: within an enter the library must not be called.
    private func soon(_ job: @escaping () -> Void) {
        nonisolated(unsafe) let job = job // Never leaves this thread.
        reactor.handle.post { unsafe job() }
    }

    private func checkStandstill() {
        for party in parties {
            guard let text = party.standstill(far: farEnd(of: party)) else { continue }
            let starved = reactor.statistics.connectionsWithoutBuffer
            fail("\(party.name) \(text)\n\(starved) connections wait for a buffer\n\(kernel.state)")
        }
    }

    /// No connection is open any more.
    private func checkReceives() {
        let receives = kernel.inFlight.filter { "\($0)".hasPrefix("recv") }
        if !receives.isEmpty { fail("receives of nobody's are left: \(receives)") }
    }

    /// Nobody holds a slice any more.
    private func checkBuffers() {
        let statistics = reactor.statistics
        // What the network holds for somebody who has vanished may lie in them.
        guard statistics.zeroCopySendsInFlight == 0 else { return }
        let held = [statistics.receiveBuffersInUse, statistics.largeReceiveBuffersInUse]
        for group in 0...1 {
            let returned = kernel.providedBuffers(ofGroup: UInt16(group)).count
            if held[group] != 0 || returned != provided[group] {
                fail("\(held[group]) buffers of ring \(group) are out, \(returned) of \(provided[group]) with the kernel")
            }
        }
    }

    private func checkOver() {
        if kernel.inFlightCount > 0 { fail("\(kernel.inFlightCount) operations are left") }
        if kernel.openDescriptors > 0 { fail("\(kernel.openDescriptors) descriptors are left") }
        let statistics = reactor.statistics
        if statistics.connections > 0 { fail("\(statistics.connections) connections are left") }
        if statistics.operations > 0 { fail("\(statistics.operations) operations are left") }
        if statistics.zeroCopySendsInFlight > 0, stage != .ending { fail("zero-copy sends are left") }
        if statistics.staleCompletions > 0 { fail("\(statistics.staleCompletions) completions that nobody waited for") }
        if statistics.pooledBuffersInUse > 0 { fail("\(statistics.pooledBuffersInUse) buffers of the pool are lent") }
        for party in parties {
            party.check(far: farEnd(of: party))
            (party as? LibraryParty)?.checkOver()
        }
    }
}
