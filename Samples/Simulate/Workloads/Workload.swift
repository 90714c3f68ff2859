import PubSub
import ReactorTesting
import SystemPackage
import UringReactor

/// Servers, clients and a broker, and a population that does what it likes.
final class Workload: Play {
    private var streams = 0
    private var parties: [Party] = []
    private var ends: [Ends: Party] = [:]
    private var servers: [Server] = []
    private(set) var messages: BrokerWorkload?

    private struct Ends: Hashable {
        let local: SocketAddress
        let remote: SocketAddress
    }

    // MARK: - For those in it

    func makeStream() -> Stream {
        streams += 1
        return Stream(number: streams)
    }

    func link(_ party: Party, local: SocketAddress, remote: SocketAddress) {
        ends[Ends(local: local, remote: remote)] = party
        far[ObjectIdentifier(party)] = Ends(local: remote, remote: local)
    }

    private var far: [ObjectIdentifier: Ends] = [:]
    /// Whose stream that is.
    func writer(of stream: Int) -> Party? { parties.first { $0.outgoing.number == stream } }

    private func farEnd(of party: Party) -> Party? { far[ObjectIdentifier(party)].flatMap { ends[$0] } }

    override func leave() {
        for party in parties { party.leave() }
        messages?.leave()
    }

    // MARK: - The run

    override func populate() throws {
        for number in 1...2 {
            let isStateMachine = chance(0.5)
            var configuration = ServerConfiguration()
            configuration.connection = Workload.connectionOptions(&random)
            configuration.drainTimeout = .seconds(5)
            world.fit(&configuration)
            let isEcho = chance(0.4)
            if isEcho { configuration.connection.slowConsumer = .disconnect(farewell: nil) }
            let options = configuration.connection
            let unix = world.scratchPath.flatMap { chance(0.2) ? try? SocketAddress.unix(path: $0) : nil }
            let address = unix ?? .loopback()
            let makeName = { [unowned self] in "connection \(parties.count) of server \(number)" }
            if isStateMachine {
                servers.append(try Server(on: address, configuration: configuration, reactor: reactor) {
                    [unowned self] _ in
                    PartyHandler(party: add(LibraryParty(self, makeName(), options: options), isEcho: isEcho))
                })
            } else {
                servers.append(try Server(on: address, configuration: configuration, reactor: reactor) {
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
            wait(.microseconds(delay())) { [unowned self] in try connect() }
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

    /// A far end that the library connects to.
    private func listen() throws -> SocketAddress {
        try world.listen { [unowned self] peer in
            parties.append(ScriptedParty(self, "listening peer \(parties.count)", peer))
        }
    }

    /// Nobody answers, so that the timeout has to end it.
    private func connectInVain(to silent: SocketAddress) {
        connectsInVain.begun += 1
        let patience = Duration.microseconds(delay())
        let deadline = world.now() + UInt64(patience / .nanoseconds(1))
        reactor.connect(to: silent, timeout: patience) { [self] result in
            connectsInVain.over += 1
            guard case .failure(let error) = result else { return fail("a connect to nobody succeeded") }
            if error.isTimeout, world.now() < deadline { fail("a connect timed out too early") }
            let isLegal = error.isTimeout || error.errno == .tooManyOpenFiles || reactor.isStopping
            if !isLegal { fail("a connect to nobody failed otherwise: \(error)") }
        }
    }
    private var connectsInVain = (begun: 0, over: 0)
    /// Whose connects have not called back.
    private var connectsDue: Set<String> = []

    private func connect() throws {
        guard !isFinishing else { return }
        let options = Workload.connectionOptions(&random)
        if chance(0.08), let silent = world.makeSilentAddress() { return connectInVain(to: silent) }
        let address = chance(0.2) ? try listen() : servers[number(0...1)].address
        if chance(0.5) {
            let party = add(LibraryParty(self, "client \(parties.count)", options: options))
            reactor.connect(to: address, options: options, handler: PartyHandler(party: party))
        } else {
            let party = add(CallbackParty(self, "callback client \(parties.count)", options: options))
            connectsDue.insert(party.name)
            reactor.connect(to: address, options: options) { [self] result in
                if connectsDue.remove(party.name) == nil { party.fail("its connect called back twice") }
                if case .success(let connection) = result { party.begin(connection) }
            }
        }
    }

    // MARK: - Stages

    override func waiting() -> [String] {
        parties.compactMap { party in party.standstill(far: farEnd(of: party)).map { "\(party.name) \($0)" } }
    }

    override func finish() {
        for party in parties { party.finish() }
        messages?.finish()
    }

    override func checkFinished() { messages?.check() }

    override func beginStopping() {
        for party in parties { party.release() }
        // Whose far end has vanished waits for good, unless it is a server's.
        for party in parties { (party as? LibraryParty)?.breakOff() }
        for server in servers { server.stop() }
    }

    override func checkOver() {
        if !connectsDue.isEmpty { fail("\(connectsDue.count) connects were never called back") }
        if connectsInVain.begun != connectsInVain.over { fail("of connects to nobody \(connectsInVain)") }
        for party in parties {
            party.check(far: farEnd(of: party))
            (party as? LibraryParty)?.checkOver()
        }
        parties = []
        servers = []
    }
}
