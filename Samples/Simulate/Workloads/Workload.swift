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

    // MARK: - Stages

    override func checkStandstill() {
        for party in parties {
            guard let text = party.standstill(far: farEnd(of: party)) else { continue }
            let starved = reactor.statistics.connectionsWithoutBuffer
            fail("\(party.name) \(text)\n\(starved) connections wait for a buffer\n\(world.state)")
        }
    }

    override var isStill: Bool { !parties.contains { $0.standstill(far: farEnd(of: $0)) != nil } }

    override func finish() {
        for party in parties { party.finish() }
        messages?.finish()
    }

    override func checkFinished() { messages?.check() }

    override func beginStopping() {
        for party in parties { party.release() }
        for server in servers { server.stop() }
    }

    override func checkOver() {
        for party in parties {
            party.check(far: farEnd(of: party))
            (party as? LibraryParty)?.checkOver()
        }
        parties = []
        servers = []
    }
}
