import PubSub
import ReactorTesting
import UringReactor

/// How the service of a run is set up.
struct PubSubPlan {
    /// No connection breaks, and nobody is too late: what was sent arrives.
    let isCalm: Bool
    let choice: SlowConsumerChoice
    let channels: Int
    /// No timeout of the server's is so short that a completion which comes late lets it end somebody who does his part.
    var isPatient: Bool {
        let options = configuration.connection
        return options.idleTimeout == nil && options.writeTimeout.map { $0 >= .seconds(1) } ?? true
    }
    private(set) var configuration = ServerConfiguration()
    private(set) var broker = BrokerConfiguration()

    init(isCalm: Bool, _ random: inout SplitMix64) {
        self.isCalm = isCalm
        choice = Workload.pick(SlowConsumerChoice.allCases, &random)
        channels = Workload.pick([1, 1, 2, 3], &random)
        broker.onPublisherExit = Workload.pick([.keep, .keep, .bye], &random)
        broker.limits.message = Workload.pick([60, 400, 3_000, 30_000], &random)
        broker.limits.heldSegments = random.next(in: 0...4)
        if random.next(in: 0...5) == 0 { broker.limits.channels = random.next(in: 1...2) }
        if random.next(in: 0...5) == 0 { broker.limits.subscribersPerChannel = random.next(in: 1...3) }
        var options = Workload.connectionOptions(&random)
        if isCalm {
            options.idleTimeout = nil
            options.writeTimeout = Workload.pick([nil, .seconds(10)], &random)
            options.flushTimeout = .seconds(30)
            options.lingerTimeout = .seconds(2)
        }
        choice.apply(to: &options, &broker)
        configuration.connection = options
        if random.next(in: 0...3) == 0 { configuration.maximumConnections = random.next(in: 1...6) }
        configuration.refusal = PubSubService.refusal
    }

    /// Messages may be missing in between.
    var drops: Bool { choice == .dropNewest || choice == .dropOldest }
    /// Somebody slow is sent away.
    var dismisses: Bool { !drops }

    /// What may wait for one connection at most, if so many bytes are received at once.
    func mostPending(segment: Int) -> Int {
        let batch = broker.limits.message + 2 + segment
        let limit = configuration.connection.maximumPendingBytes
        return choice == .dropOldest ? limit + batch : max(limit, batch)
    }

    /// What somebody may be told who cannot join.
    func isRefusal(_ reason: String) -> Bool {
        if configuration.maximumConnections != nil, reason == "too many connections" { return true }
        if let limit = broker.limits.channels, reason == ProtocolError.tooManyChannels(limit: limit).reason { return true }
        guard let limit = broker.limits.subscribersPerChannel else { return false }
        return reason == ProtocolError.tooManySubscribers(limit: limit).reason
    }

    var lineTooLong: String { ProtocolError.lineTooLong(limit: broker.limits.message).reason }
}
