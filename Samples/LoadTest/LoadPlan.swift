import UringReactor

/// What a load test is to do: its options, validated.
struct LoadPlan {
    var publishers = 1
    /// Of each publisher.
    var subscribers = 10
    var size = MessageSize.fixed(128)
    /// Messages a second of each publisher; 0 for as fast as they are delivered.
    var rate = 0.0
    /// Messages of a publisher that may be under way, if there is no rate.
    var window = 8
    /// Seconds; nil for as long as ``messages`` take.
    var duration: Double?
    /// Of each publisher; nil for as many as there is time for.
    var messages: UInt64?
    /// Seconds over which the connections are spread.
    var rampUp = 0.0
    var style = LoadStyle.stateMachine
    /// Subscribers a second that leave and are replaced.
    var churn = 0.0
    /// The share of subscribers that read slowly.
    var slow = 0.0
    /// Seconds that they pause after each read.
    var slowPause = 0.1
    /// Seconds without an answer, or without a delivery while some are due, after which the server has failed.
    var patience = 10.0
    /// Seconds that deliveries may take when the publishers have finished.
    var drainTimeout = 10.0
    var seed: UInt64 = 1

    /// A day less than what a head can say.
    static let longestDuration = 172_800.0
    /// Beside the connections: standard streams, the ring, the pipe of a server, reports.
    private static let descriptorsBeside = 32

    /// Subscribers of all publishers.
    var allSubscribers: Int { publishers * subscribers }
    var connections: Int { publishers + allSubscribers }

    /// Subscribers of each publisher that read slowly: every so many, the first never.
    var slowSubscribers: Int { min(subscribers, Int((Double(subscribers) * slow).rounded())) }

    /// Descriptors that this process needs. Those who leave take theirs along for a moment.
    var descriptors: Int { connections + Int((2 * churn).rounded(.up)) + LoadPlan.descriptorsBeside }

    /// How many messages a publisher sends; nil for as many as there is time for.
    var messageLimit: UInt64? {
        guard rate > 0, let duration else { return messages }
        return min(messages ?? .max, UInt64((rate * duration).rounded(.up)))
    }

    /// With a rate: when a message is to be sent, in nanoseconds since the beginning. The publishers take turns, so that
    /// not all messages are due in the same moment.
    ///
    /// - Parameter turn: the number of the message among those of all publishers.
    func due(_ turn: UInt64) -> UInt64 { UInt64(Double(turn) * 1e9 / (rate * Double(publishers))) }

    /// Nanoseconds after which publishers stop; nil if only the number of messages counts.
    var timeLimit: UInt64? { rate > 0 ? nil : duration.map { UInt64($0 * 1e9) } }

    /// What is impossible, with what to do about it; nil if nothing is.
    ///
    /// - Parameter mostDescriptors: how many this process may have.
    func objection(mostDescriptors: Int) -> String? {
        guard (1...1_000_000).contains(publishers), (1...1_000_000).contains(subscribers) else {
            return "--publishers and --subscribers must be from 1 to 1000000"
        }
        guard rate == 0 || (0.001...10_000_000).contains(rate) else {
            return "--rate must be 0, or from 0.001 to 10000000 messages a second"
        }
        guard (1...1_000_000).contains(window) else { return "--window must be from 1 to 1000000 messages" }
        guard messages != 0 else { return "--messages must be at least 1" }
        guard (messages ?? 0) < 1 << 48 else { return "--messages must be less than 2^48" }
        guard (duration.map { (0.001...LoadPlan.longestDuration).contains($0) }) ?? true else {
            return "--duration must be from 0.001 to \(Int(LoadPlan.longestDuration)) seconds"
        }
        if let messages, rate > 0, Double(messages) / rate > LoadPlan.longestDuration {
            return "--messages \(messages) at --rate \(rate) takes more than two days: lower one or raise the other"
        }
        guard (0...86_400).contains(rampUp) else { return "--ramp-up must be from 0 to 86400 seconds" }
        guard churn == 0 || (0.001...10_000).contains(churn) else {
            return "--churn must be 0, or from 0.001 to 10000 subscribers a second"
        }
        guard (0...1).contains(slow) else { return "--slow must be from 0 (none) to 1 (all)" }
        guard (0.001...3_600).contains(slowPause) else { return "--slow-pause must be from 0.001 to 3600 seconds" }
        guard (0.001...86_400).contains(patience) else { return "--patience must be from 0.001 to 86400 seconds" }
        guard (0.001...86_400).contains(drainTimeout) else {
            return "--drain-timeout must be from 0.001 to 86400 seconds"
        }
        if slowSubscribers == subscribers, rate == 0 {
            return """
                with --slow \(slow) no subscriber is left whose deliveries the --window could wait for: lower --slow, or \
                give a --rate
                """
        }
        if churn > 0, slowSubscribers == subscribers {
            return "slow subscribers do not take part in --churn, and with --slow \(slow) there are no others: lower --slow"
        }
        if descriptors > mostDescriptors {
            return """
                \(connections) connections need \(descriptors) descriptors, and this process may have \(mostDescriptors): \
                lower --publishers or --subscribers, or raise the limit (ulimit -Hn, or LimitNOFILE= of a service)
                """
        }
        return nil
    }
}

/// How the clients are written; what they do is the same.
enum LoadStyle: String, CaseIterable {
    case callbacks
    case stateMachine = "state-machine"
}
