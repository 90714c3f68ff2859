import ReactorTesting
import UringReactor

/// A play over Linux: the same population as over the simulated kernel, but in real time.
final class LinuxRun: Run {
    private let world: LinuxWorld
    private let play: Play

    init(_ kind: WorkloadKind, seed: UInt64) throws {
        var random = SplitMix64(seed: seed ^ kind.salt)
        // Drawn for nothing, so that what follows is what follows there.
        _ = Workload.kernelConfiguration(seed, &random)
        let configuration = Workload.reactorConfiguration(&random)
        var sizes = SplitMix64(seed: seed ^ 0x6275_6666_6572)
        world = try LinuxWorld(reactor: configuration, buffers: LinuxWorld.Buffers(drawnFrom: &sizes))
        play = try kind.makePlay(seed: seed, random: random, in: world, isCalm: true)
    }

    var counts: RunCounts { RunCounts(world.reactor.statistics, faults: [:]) }
    func perform() throws -> [String] { try play.run() }
}
