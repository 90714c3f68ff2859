import ReactorTesting
import UringReactor

/// A round of the scenario, where everything goes wrong that breaks no connection: each of its steps holds all the same.
final class ScenarioWorkload: Play {
    private let cast: ScenarioRound.Cast
    private var round: ScenarioRound?
    private var stepsHeld = 0

    override init(seed: UInt64, random: SplitMix64, in world: any World) {
        var random = random
        cast = Workload.pick([.callbacks, .stateMachines, .mixed], &random)
        super.init(seed: seed, random: random, in: world)
    }

    override func populate() throws {
        // It stops the reactor itself, so nothing may stand still before.
        round = try ScenarioRound(cast, on: reactor, patience: .seconds(1_000)) { [unowned self] _ in stepsHeld += 1 }
    }

    override func checkStandstill() { fail("the scenario stands still\n\(world.state)") }

    override func checkOver() {
        do {
            try round?.verifyAll()
        } catch {
            fail("\(cast.title): \(error)")
        }
        if failures.isEmpty, stepsHeld != 11 { fail("\(stepsHeld) steps held") }
        let counts = round?.service.broker.statistics
        if counts?.subscribers != 0 || counts?.publishers != 0 || counts?.channels != 0 || counts?.segmentsHeld != 0 {
            fail("the broker has not forgotten everybody: \(counts.map { "\($0)" } ?? "")")
        }
        if reactor.statistics.errorsThrown > 0 { fail("\(reactor.statistics.errorsThrown) errors were thrown") }
        round = nil
    }
}
