import ReactorTesting
import UringReactor

/// The workload over Linux: the same population as over the simulated kernel, but in real time.
final class LinuxConnections: Run {
    private let world: LinuxWorld
    private let workload: Workload

    init(seed: UInt64) throws {
        var random = SplitMix64(seed: seed ^ 0x776f_726b_6c6f_6164)
        // Drawn for nothing, so that what follows is what follows there.
        _ = Workload.kernelConfiguration(seed, &random)
        let configuration = Workload.reactorConfiguration(&random)
        var sizes = SplitMix64(seed: seed ^ 0x6275_6666_6572)
        world = try LinuxWorld(reactor: configuration, buffers: LinuxWorld.Buffers(drawnFrom: &sizes))
        workload = Workload(seed: seed, random: random, in: world)
    }

    var counts: RunCounts {
        let statistics = world.reactor.statistics
        return RunCounts(
            connections: statistics.connectionsOpened, operations: statistics.submitted, enters: statistics.enters,
            faults: 0)
    }

    func perform() throws -> [String] { try workload.run() }
}
