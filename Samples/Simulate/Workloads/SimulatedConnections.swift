import ReactorTesting
import UringReactor

/// The workload over the simulated kernel, which is drawn as well.
final class SimulatedConnections: SeededRun {
    private let world: SimulatedWorld
    private let workload: Workload

    init(seed: UInt64) throws {
        var random = SplitMix64(seed: seed ^ 0x776f_726b_6c6f_6164)
        world = try SimulatedWorld(
            seed: seed, kernel: Workload.kernelConfiguration(seed, &random),
            reactor: Workload.reactorConfiguration(&random))
        workload = Workload(seed: seed, random: random, in: world)
    }

    var kernel: SimulatedKernel { world.kernel }
    var counts: RunCounts { world.counts }
    func perform() throws -> [String] { try workload.run() }
}

extension SimulatedWorld {
    var counts: RunCounts {
        let statistics = reactor.statistics
        return RunCounts(
            connections: statistics.connectionsOpened, operations: statistics.submitted, enters: statistics.enters,
            faults: kernel.faultCount)
    }
}
