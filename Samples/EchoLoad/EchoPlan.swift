/// What a load test of an echo server is to do: its options, validated.
struct EchoPlan {
    var connections = 64
    /// Bytes of a message.
    var size = 64
    /// Messages of a connection that are under way.
    var depth = 1
    /// Seconds; nil for as long as ``messages`` take.
    var duration: Double?
    /// Of each connection; nil for as many as there is time for.
    var messages: UInt64?
    var style = LoadStyle.stateMachine
    /// Seconds without an answer after which the server has failed.
    var patience = 10.0

    /// Beside the connections: standard streams, the ring, the pipe of a server, reports.
    private static let descriptorsBeside = 32

    var descriptors: Int { connections + EchoPlan.descriptorsBeside }

    /// What is impossible, with what to do about it; nil if nothing is.
    ///
    /// - Parameter mostDescriptors: how many this process may have.
    func objection(mostDescriptors: Int) -> String? {
        guard (1...1_000_000).contains(connections) else { return "--connections must be from 1 to 1000000" }
        guard (1...MessageHead.largestSize).contains(size) else {
            return "--size must be from 1 to \(MessageHead.largestSize) bytes"
        }
        guard (1...65_536).contains(depth) else { return "--depth must be from 1 to 65536 messages" }
        // A server that sends back what it receives waits for us to read: what is under way must find room on the way.
        guard depth * size <= 256 << 20 else { return "--depth times --size is more than 256 MiB: lower one of them" }
        guard messages != 0 else { return "--messages must be at least 1" }
        guard (duration.map { (0.001...LoadPlan.longestDuration).contains($0) }) ?? true else {
            return "--duration must be from 0.001 to \(Int(LoadPlan.longestDuration)) seconds"
        }
        guard (0.001...86_400).contains(patience) else { return "--patience must be from 0.001 to 86400 seconds" }
        if descriptors > mostDescriptors {
            return """
                \(connections) connections need \(descriptors) descriptors, and this process may have \(mostDescriptors): \
                lower --connections, or raise the limit (ulimit -Hn, or LimitNOFILE= of a service)
                """
        }
        return nil
    }

    /// In a few words.
    var summary: String { "\(connections) connections, \(size) B, depth \(depth), \(style.rawValue)" }

    /// All choices that change what is measured.
    var settings: [(name: String, value: JSONText)] {
        [
            ("connections", .integer(UInt64(connections))), ("size", .integer(UInt64(size))),
            ("depth", .integer(UInt64(depth))), ("duration_seconds", duration.map { .number($0) } ?? .null),
            ("messages", messages.map { .integer($0) } ?? .null), ("style", .text(style.rawValue)),
        ]
    }
}
