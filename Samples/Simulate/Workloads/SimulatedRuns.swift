import ReactorTesting
import UringReactor

/// A play over the simulated kernel, which is drawn as well.
final class SimulatedRun: SeededRun {
    private let world: SimulatedWorld
    private let play: Play

    /// - Parameters:
    ///   - salt: what tells this kind's numbers from another's.
    ///   - isCalm: whether no connection breaks that nobody breaks, whatever else goes wrong; nil draws that.
    init(
        seed: UInt64, salt: UInt64, isCalm: Bool? = nil,
        _ make: (UInt64, SplitMix64, any World, Bool) throws -> Play
    ) throws {
        var random = SplitMix64(seed: seed ^ salt)
        var kernel = Workload.kernelConfiguration(seed, &random)
        let isCalm = isCalm ?? (kernel.faults.connectionReset == 0)
        if isCalm { kernel.faults.connectionReset = 0 }
        world = try SimulatedWorld(seed: seed, kernel: kernel, reactor: Workload.reactorConfiguration(&random))
        play = try make(seed, random, world, isCalm)
    }

    var kernel: SimulatedKernel { world.kernel }
    var counts: RunCounts { world.counts }
    func perform() throws -> [String] { try play.run() }
}

extension SimulatedWorld {
    var counts: RunCounts {
        let statistics = reactor.statistics
        return RunCounts(
            connections: statistics.connectionsOpened, operations: statistics.submitted, enters: statistics.enters,
            faults: kernel.faultCount)
    }
}
