import ReactorTesting
import UringReactor

/// What is drawn for a run before it begins.
extension Workload {
    static func kernelConfiguration(_ seed: UInt64, _ random: inout SplitMix64) -> SimulatedKernel.Configuration {
        var configuration = SimulatedKernel.Configuration()
        configuration.ringIndexStart = random.next(in: 0...1) == 0 ? 0 : .max - UInt32(random.next(in: 0...300))
        configuration.sendBuffer = pick([64, 300, 1_024, 4_096, 32_768], &random)
        configuration.receiveBuffer = pick([64, 300, 1_024, 4_096, 32_768], &random)
        configuration.capabilities = Capabilities(
            multishotTimeout: random.next(in: 0...1) == 0, multishotReceive: random.next(in: 0...3) > 0,
            zeroCopySend: random.next(in: 0...2) > 0)
        configuration.traceLimit = 400
        configuration.faults = faults(seed, &random)
        return configuration
    }

    private static func faults(_ seed: UInt64, _ random: inout SplitMix64) -> FaultPlan {
        let kind = random.next(in: 0...5)
        guard kind > 0 else { return .none }
        var plan = FaultPlan.nasty(seed: seed)
        // Without resets more connections live to their polite end.
        if kind < 4 { plan.spareConnections() }
        return plan
    }

    static func reactorConfiguration(_ random: inout SplitMix64) -> ReactorConfiguration {
        var configuration = ReactorConfiguration()
        configuration.receiveBufferCount = pick([0, 1, 2, 4, 8, 16, 64], &random)
        configuration.receiveBufferSize = pick([16, 64, 200, 1_024, 4_096], &random)
        configuration.submissionEntries = pick([2, 4, 16, 512], &random)
        configuration.completionEntries = pick([4, 8, 64, 4_096], &random)
        configuration.workPerTurn = pick([1, 2, 7, 1_024], &random)
        configuration.batching = pick([.turn, .turn, .threshold(1), .threshold(3), .threshold(32)], &random)
        configuration.onReport = { _ in }
        return configuration
    }

    static func connectionOptions(_ random: inout SplitMix64) -> ConnectionOptions {
        var options = ConnectionOptions()
        options.maximumPendingBytes = pick([200, 3_000, 20_000, 1 << 20], &random)
        options.highWatermark = pick([0, 100, 2_000, 1 << 20], &random)
        options.lowWatermark = options.highWatermark / pick([1, 2, 100], &random)
        options.slowConsumer = pick([.disconnect(farewell: nil), .dropNewest, .dropOldest], &random)
        options.writeTimeout = pick([nil, nil, .milliseconds(20), .seconds(10)], &random)
        options.idleTimeout = pick([nil, nil, nil, .milliseconds(20), .seconds(1)], &random)
        options.flushTimeout = pick([.milliseconds(5), .seconds(30), .seconds(30)], &random)
        options.lingerTimeout = pick([.milliseconds(1), .seconds(2), .seconds(2)], &random)
        options.receiving = pick([.adaptive, .adaptive, .multishot, .singleShot], &random)
        options.zeroCopyThreshold = pick([nil, 1, 100, 2_000], &random)
        return options
    }

    static func pick<Value>(_ values: [Value], _ random: inout SplitMix64) -> Value {
        values[random.next(in: 0...(values.count - 1))]
    }

}

/// What is drawn while it runs.
extension Play {
    func number(_ range: ClosedRange<Int>) -> Int { random.next(in: range) }
    func pick<Value>(_ values: [Value]) -> Value { Workload.pick(values, &random) }
    func chance(_ probability: Double) -> Bool { random.nextUnit() < probability }

    /// Microseconds, mostly few.
    func delay() -> Int { chance(0.1) ? number(0...40_000) : number(0...300) }

    /// The pieces of a message, some of them empty.
    func cut(_ bytes: [UInt8]) -> [Bytes] {
        var pieces: [Bytes] = []
        var start = 0
        while start < bytes.count, pieces.count < 6 {
            let end = number(start...bytes.count)
            pieces.append(Bytes(Array(bytes[start..<end])))
            start = end
        }
        pieces.append(Bytes(Array(bytes[start...])))
        return pieces
    }
}
