import Testing
import UringReactor

@testable import samples

/// The scenario that `make run` shows, over the real kernel.
@Suite struct ScenarioTests {
    @Test(arguments: ScenarioRound.Cast.allCases, [BatchingPolicy.turn, .threshold(1), .threshold(8)])
    func holds(cast: ScenarioRound.Cast, batching: BatchingPolicy) throws {
        var configuration = ReactorConfiguration()
        configuration.batching = batching
        let reactor = try Reactor(configuration: configuration)
        var steps = 0
        let round = try ScenarioRound(cast, on: reactor, patience: .seconds(60)) { _ in steps += 1 }
        try reactor.run()
        try round.verifyAll()
        #expect(steps == 11)
        #expect(reactor.statistics.connections == 0)
        #expect(reactor.statistics.operations == 0)
        #expect(reactor.statistics.errorsThrown == 0)
    }
}
