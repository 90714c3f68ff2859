import ReactorTesting
import UringReactor

/// A play over the simulated kernel, which is drawn as well: all of it follows from the seed.
final class SimulatedRun: Run {
    private let world: SimulatedWorld
    private let play: Play

    init(_ kind: WorkloadKind, seed: UInt64) throws {
        var random = SplitMix64(seed: seed ^ kind.salt)
        var kernel = Workload.kernelConfiguration(seed, &random)
        // Every step of the scenario must hold, so nothing may break it off.
        let isCalm = kind == .scenario || !kernel.faults.breaksConnections
        if isCalm { kernel.faults.spareConnections() }
        world = try SimulatedWorld(seed: seed, kernel: kernel, reactor: Workload.reactorConfiguration(&random))
        play = try kind.makePlay(seed: seed, random: random, in: world, isCalm: isCalm)
    }

    var kernel: SimulatedKernel { world.kernel }
    var counts: RunCounts { RunCounts(world.reactor.statistics, faults: world.kernel.faultCounts) }
    func perform() throws -> [String] { try play.run() }
}
