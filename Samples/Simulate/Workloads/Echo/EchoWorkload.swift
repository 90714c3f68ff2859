import ReactorTesting
import SystemPackage
import UringReactor

/// The echo server of the samples, in either style, and clients that check what comes back.
final class EchoWorkload: Play {
    /// No connection breaks unless a client breaks it.
    let isCalm: Bool
    private(set) var address = SocketAddress.loopback()
    private var server: Server?
    private var clients: [EchoClient] = []
    /// The server's ends.
    private var served: [Connection] = []
    private let options: ConnectionOptions
    private let isStateMachine: Bool
    private let largestSegment: Int

    init(seed: UInt64, random: SplitMix64, in world: any World, isCalm: Bool) {
        self.isCalm = isCalm
        largestSegment = 16 * world.receiveBufferSize
        var random = random
        options = EchoWorkload.options(&random)
        isStateMachine = random.next(in: 0...1) == 0
        super.init(seed: seed, random: random, in: world)
    }

    /// Such that nobody is ended who goes on now and then.
    private static func options(_ random: inout SplitMix64) -> ConnectionOptions {
        var options = Workload.connectionOptions(&random)
        options.maximumPendingBytes = 1 << 30
        options.slowConsumer = .disconnect(farewell: nil)
        options.writeTimeout = Workload.pick([nil, .seconds(10)], &random)
        options.idleTimeout = Workload.pick([nil, nil, .seconds(20)], &random)
        options.flushTimeout = .seconds(30)
        options.lingerTimeout = .seconds(2)
        return options
    }

    override func populate() throws {
        var configuration = ServerConfiguration()
        configuration.connection = options
        world.fit(&configuration)
        let address = world.scratchPath.flatMap { chance(0.3) ? try? SocketAddress.unix(path: $0) : nil } ?? .loopback()
        let server = isStateMachine
            ? try Server(on: address, configuration: configuration, reactor: reactor) { [unowned self] in
                served.append($0)
                return Echo()
            }
            : try Server(on: address, configuration: configuration, reactor: reactor, onConnection: echo)
        self.address = server.address
        self.server = server
        for _ in 0..<number(1...4) { farLater { [unowned self] in join { ScriptedEchoClient(self, $0) } } }
        for _ in 0..<number(0...3) { later { [unowned self] in join { LibraryEchoClient(self, $0) } } }
        if chance(0.03) { later { [unowned self] in stop() } }
    }

    private func join(_ make: (Int) -> EchoClient) {
        guard !isFinishing else { return }
        let client = make(clients.count + 1)
        clients.append(client)
        client.begin()
    }

    /// Other options for a client of the library's.
    func clientOptions() -> ConnectionOptions { EchoWorkload.options(&random) }

    /// The server's memory is bounded: it reads nothing from whoever does not read.
    func checkMemory() {
        guard isStateMachine else { return }
        for connection in served where connection.pendingBytes > options.highWatermark + largestSegment {
            fail("\(connection.pendingBytes) bytes wait for \(connection)")
        }
    }

    // MARK: - Stages

    override func waiting() -> [String] {
        clients.compactMap { client in client.standstill.map { "client \(client.number) \($0)" } }
    }

    override func finish() { for client in clients { client.finish() } }

    override func checkFinished() {
        for client in clients where !client.isOver { fail("client \(client.number) has not ended\n\(world.state)") }
        for client in clients where isCalm && !client.hasVanished && !client.isWhole {
            let end = client.sawEnd ? "the" : "no"
            fail("client \(client.number) heard \(client.heard) of \(client.sent) bytes and \(end) end, and broke nothing")
        }
    }

    override func beginStopping() { server?.stop() }
    override func leave() { for client in clients { client.leave() } }

    override func checkOver() {
        for client in clients { client.checkOver() }
        clients = []
        server = nil
    }
}
