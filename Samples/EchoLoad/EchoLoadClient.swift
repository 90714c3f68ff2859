import UringReactor

/// One connection to an echo server: what it sends, and whether it comes back. How it is connected is up to a style.
///
/// All that a connection sends is one long text, of which each message is a piece: so what comes back is compared wherever
/// it was cut, and a byte that is lost, doubled or changed is found. Echoes have no numbers: after the first difference
/// nothing more can be said of the connection, and it ends.
final class EchoLoadClient {
    let number: Int
    /// Its way to the server.
    var link: (any EchoLink)?
    /// Messages sent, and those that have come back whole.
    private(set) var sent: UInt64 = 0
    private(set) var returned: UInt64 = 0
    private(set) var latencies: UInt64 = 0
    /// Bytes that have come back.
    private var position: UInt64 = 0
    /// The server has ended its side.
    var sawEnd = false
    private(set) var isCorrupt = false
    var hasEnded = false
    /// More waits to be sent than should.
    private var isBacklogged = false

    private let plan: EchoPlan
    /// When each of the messages under way was sent, by its number modulo the depth: nanoseconds.
    private var times: [UInt64]

    init(number: Int, plan: EchoPlan) {
        self.number = number
        self.plan = plan
        times = [UInt64](repeating: 0, count: plan.depth)
    }

    /// Whether all that was sent has come back.
    var isQuiet: Bool { sent == returned }

    /// Whether it has got back all that it was to send.
    var isComplete: Bool { plan.messages.map { returned >= $0 } ?? false }

    /// Sends as many messages as may be under way, in one piece.
    ///
    /// - Parameter time: nanoseconds, read for this call.
    func send(at time: UInt64) {
        guard let link, !isBacklogged else { return }
        let limit = min(plan.messages ?? .max, returned + UInt64(plan.depth))
        while sent < limit, !isBacklogged {
            // Large ones one at a time, so that what is backlogged stays small.
            let count = min(limit - sent, UInt64(max(1, (1 << 16) / plan.size)))
            for message in sent..<sent + count { times[Int(message % UInt64(plan.depth))] = time }
            let piece = EchoText.shared.bytes(from: sent * UInt64(plan.size), count: Int(count) * plan.size, of: number)
            sent += count
            isBacklogged = !link.send(piece)
        }
    }

    /// There is room again.
    func drained(at time: UInt64) {
        isBacklogged = false
        send(at: time)
    }

    /// Compares what came back, in place.
    ///
    /// - Parameters:
    ///   - time: when it came.
    ///   - recorder: gets the latency of each message of which this is the end.
    func check(_ bytes: Bytes, at time: UInt64, _ recorder: LatencyRecorder) {
        let end = position + UInt64(bytes.count)
        guard !isCorrupt, end <= sent * UInt64(plan.size), EchoText.shared.matches(bytes, from: position, of: number)
        else {
            isCorrupt = true
            return
        }
        position = end
        while returned < end / UInt64(plan.size) {
            let latency = time - min(time, times[Int(returned % UInt64(plan.depth))])
            recorder.record(latency, bytes: plan.size)
            latencies += latency
            returned += 1
        }
    }
}

/// A connection, in one of the styles.
protocol EchoLink {
    /// Sends some messages.
    ///
    /// - Returns: whether there is room for more. If not, ``EchoLoadClient/drained(at:)`` is called when there is.
    func send(_ bytes: Bytes) -> Bool
    func close()
}

/// What connections send: each of them a text of its own without an end, a table that is repeated from another place on.
final class EchoText: Sendable {
    static let shared = EchoText()

    /// A prime, so that no message size divides it.
    private static let period = 16_381
    /// As many periods as the longest piece that lies in one needs.
    private let table: Bytes

    private init() {
        let one = (0..<EchoText.period).map { UInt8(0x20 + MessageHead.mix(UInt64($0) ^ 0xec40) % 95) }
        table = Bytes((0..<6).flatMap { _ in one })
    }

    private func place(_ position: UInt64, _ connection: Int) -> Int {
        Int((position &+ UInt64(connection) &* 127) % UInt64(EchoText.period))
    }

    /// A piece of a connection's text; without a copy, if it is not longer than the table.
    func bytes(from position: UInt64, count: Int, of connection: Int) -> Bytes {
        let start = place(position, connection)
        guard start + count > table.count else { return table[start..<start + count] }
        var builder = BytesBuilder(capacity: count)
        while builder.count < count {
            let from = place(position + UInt64(builder.count), connection)
            builder.append(table[from..<min(table.count, from + count - builder.count)])
        }
        return builder.freeze()
    }

    /// Whether `bytes` are a connection's text from `position` on.
    func matches(_ bytes: Bytes, from position: UInt64, of connection: Int) -> Bool {
        var rest = bytes
        var position = position
        while !rest.isEmpty {
            let from = place(position, connection)
            let count = min(rest.count, table.count - from)
            guard rest.prefix(count) == table[from..<from + count] else { return false }
            rest = rest.dropFirst(count)
            position += UInt64(count)
        }
        return true
    }
}
