import PubSub
import ReactorTesting
import SystemPackage
import UringReactor

/// Servers, clients and a broker, and a population that does what it likes.
///
/// It goes on until nothing can happen any more. Then everybody ends politely, and until that is over nothing may stand
/// still; then the servers stop, and the reactor.
final class Workload {
    let seed: UInt64
    var random: SplitMix64
    let world: any World
    var reactor: Reactor { world.reactor }
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

    /// - Parameters:
    ///   - seed: all follows from it.
    ///   - random: what is left of the seed's numbers when the world is made.
    init(seed: UInt64, random: SplitMix64, in world: any World) {
        self.seed = seed
        self.random = random
        self.world = world
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

    /// A timer of the library's, for which a stage that is not the last one waits.
    func wait(_ delay: Duration, _ body: @escaping () -> Void) {
        waits += 1
        reactor.after(delay) { [weak self] in
            self?.waits -= 1
            body()
        }
    }
    private var waits = 0

    /// The reactor stops, now and then in the middle of everything.
    func stop() {
        isFinishing = true
        stage = .ending
        world.expectEnd()
        reactor.stop()
        for party in parties { party.leave() }
        messages?.leave()
    }

    // MARK: - The run

    /// Runs to the end.
    ///
    /// - Returns: What was wrong.
    func run() throws -> [String] {
        try populate()
        try world.run(isStill: { [unowned self] in isAsItShouldBe }, onStandstill: { [unowned self] in stoodStill() })
        checkOver()
        parties = []
        servers = []
        return world.failures + failures
    }

    private func populate() throws {
        for number in 1...2 {
            let isStateMachine = chance(0.5)
            var configuration = ServerConfiguration()
            configuration.connection = Workload.connectionOptions(&random)
            configuration.drainTimeout = .seconds(5)
            world.fit(&configuration)
            let isEcho = chance(0.4)
            if isEcho { configuration.connection.slowConsumer = .disconnect(farewell: nil) }
            let options = configuration.connection
            let makeName = { [unowned self] in "connection \(parties.count) of server \(number)" }
            if isStateMachine {
                servers.append(try Server(on: .loopback(), configuration: configuration, reactor: reactor) {
                    [unowned self] _ in
                    PartyHandler(party: add(LibraryParty(self, makeName(), options: options), isEcho: isEcho))
                })
            } else {
                servers.append(try Server(on: .loopback(), configuration: configuration, reactor: reactor) {
                    [unowned self] connection in
                    add(CallbackParty(self, makeName(), options: options), isEcho: isEcho).begin(connection)
                })
            }
        }
        for _ in 0..<number(0...6) {
            world.schedule(after: .microseconds(delay())) { [unowned self] in
                let server = servers[number(0...1)]
                guard !isFinishing, let peer = try? world.connect(to: server.address) else { return }
                parties.append(ScriptedParty(self, "peer \(parties.count)", peer))
            }
        }
        for _ in 0..<number(0...4) {
            wait(.microseconds(delay())) { [unowned self] in connect() }
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
        let address = servers[number(0...1)].address
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
    private func stoodStill() -> Bool {
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
            if reactor.statistics.servers > 0 { fail("servers did not stop\n\(world.state)") }
            checkBuffers()
            soon { [unowned self] in stop() }
        case .ending: return false
        }
        return true
    }

    /// Whether the stage is over, for a world that cannot tell when nothing can happen any more.
    private var isAsItShouldBe: Bool {
        switch stage {
        case .living: waits == 0 && nobodyWaits
        case .finishing: nobodyWaits && messages?.faults.isEmpty ?? true
        case .stopping: reactor.statistics.servers == 0 && buffersOut == nil && world.connectionLeftovers().isEmpty
        case .ending: true
        }
    }

    private var nobodyWaits: Bool { !parties.contains { $0.standstill(far: farEnd(of: $0)) != nil } }

    /// Does something in the next turn: within an enter the library must not be called.
    private func soon(_ job: @escaping () -> Void) {
        nonisolated(unsafe) let job = job // Never leaves this thread.
        reactor.handle.post { unsafe job() }
    }

    private func checkStandstill() {
        for party in parties {
            guard let text = party.standstill(far: farEnd(of: party)) else { continue }
            let starved = reactor.statistics.connectionsWithoutBuffer
            fail("\(party.name) \(text)\n\(starved) connections wait for a buffer\n\(world.state)")
        }
    }

    /// No connection is open any more, and nobody holds a slice.
    private func checkBuffers() {
        for text in world.connectionLeftovers() { fail(text) }
        if let buffersOut { fail(buffersOut) }
    }

    private var buffersOut: String? {
        let statistics = reactor.statistics
        guard statistics.zeroCopySendsInFlight == 0 else { return nil }
        let (small, large) = (statistics.receiveBuffersInUse, statistics.largeReceiveBuffersInUse)
        return small + large > 0 ? "\(small) small and \(large) large receive buffers are out" : nil
    }

    private func checkOver() {
        for text in world.leftovers() { fail(text) }
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
