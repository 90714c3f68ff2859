import ReactorTesting
import Testing
import UringReactor

@testable import samples

/// Load on echo servers over the simulated kernel.
@Suite struct EchoRunTests {
    private static func play(
        _ style: LoadStyle, seed: UInt64 = 1, server: @escaping (Connection) -> some ConnectionHandler
    ) throws -> LoadReport {
        var plan = EchoPlan()
        plan.connections = 3
        plan.size = 1_000
        plan.depth = 4
        plan.messages = 50
        plan.style = style
        let simulation = try Simulation(seed: seed)
        let reactor = simulation.reactor
        let address = try Server(on: .loopback(port: 7_000), reactor: reactor, makeHandler: server).address
        let run = EchoRun(plan, at: address, on: reactor, clock: { [unowned reactor] in reactor.now })
        run.start()
        try simulation.run(until: { run.phase == .over }, within: .seconds(3_600))
        try simulation.finish()
        var report = LoadReport(title: "", unit: "echoes", latency: run.recorder, client: "connection")
        run.fill(&report)
        return report
    }

    @Test(arguments: LoadStyle.allCases, UInt64(1)...5) func everythingComesBack(style: LoadStyle, seed: UInt64) throws {
        let report = try EchoRunTests.play(style, seed: seed) { _ in Echo() }
        #expect(report.failures == [] && report.latency.count == 150 && report.latency.bytes == 150_000)
    }

    @Test(arguments: LoadStyle.allCases) func aChangedByteIsFound(style: LoadStyle) throws {
        let report = try EchoRunTests.play(style) { _ in Mistaken(.changes) }
        #expect(report.failures.first?.hasPrefix("what came back on") == true, "\(report.failures)")
    }

    @Test(arguments: LoadStyle.allCases) func aMissingByteIsFound(style: LoadStyle) throws {
        let report = try EchoRunTests.play(style) { _ in Mistaken(.swallows) }
        #expect(report.failures.contains { $0.hasPrefix("what came back on") }, "\(report.failures)")
    }

    @Test(arguments: LoadStyle.allCases) func silenceIsFound(style: LoadStyle) throws {
        let report = try EchoRunTests.play(style) { _ in Mistaken(.keepsSilent) }
        #expect(report.failures.contains("nothing came back for 10.0 s"), "\(report.failures)")
    }

    @Test(arguments: LoadStyle.allCases) func anEndIsFound(style: LoadStyle) throws {
        let report = try EchoRunTests.play(style) { _ in Mistaken(.ends) }
        #expect(report.failures.contains { $0.hasPrefix("the server ended a connection") }, "\(report.failures)")
    }
}

/// An echo server that does something wrong with its third piece.
private struct Mistaken: ConnectionHandler {
    enum Mistake {
        case changes, swallows, keepsSilent, ends
    }

    let mistake: Mistake
    private var pieces = 0

    init(_ mistake: Mistake) { self.mistake = mistake }

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .received(let bytes):
            pieces += 1
            guard pieces >= 3 else {
                connection.send(bytes)
                return .continue
            }
            switch mistake {
            case .changes where pieces == 3: connection.send(Bytes(bytes.map { $0 ^ 1 }))
            case .swallows where pieces == 3: connection.send(bytes.dropLast())
            case .changes, .swallows: connection.send(bytes)
            case .keepsSilent: break
            case .ends: return .close
            }
            return .continue
        case .ended: return .close
        case .opened, .drained, .timedOut, .closed: return .continue
        }
    }
}
