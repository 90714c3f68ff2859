import PubSub
import UringReactor

/// One subscriber: checks what it gets, and keeps its books. How it is connected is up to a style.
final class LoadSubscriber {
    enum State {
        /// It has not got its `OK`.
        case asking
        case subscribed
        /// It has said `BYE`, or will when it has its `OK`.
        case leaving
        case ended
    }

    let publisher: LoadPublisher
    /// Whether it reads slowly.
    let isSlow: Bool
    /// Whether it takes another's place.
    let isReplacement: Bool
    var state = State.asking
    /// Its way to the server.
    var link: (any SubscriberLink)?
    /// What the server said besides the messages: an error, or a farewell.
    private(set) var lastWords: String?
    private(set) var ledger = DeliveryLedger()
    /// Deliveries, and the sum of their latencies in nanoseconds.
    private(set) var deliveries: UInt64 = 0
    private(set) var latencies: UInt64 = 0
    private var checker: MessageChecker
    private var answer = LineReader(limit: 1_024)
    private(set) var isAccepted = false
    /// The server has ended its side, as it does behind all that it had to say.
    var sawEnd = false
    /// It has left while others stayed.
    var leftEarly = false

    init(of publisher: LoadPublisher, run: UInt64, isSlow: Bool, isReplacement: Bool) {
        self.publisher = publisher
        self.isSlow = isSlow
        self.isReplacement = isReplacement
        checker = MessageChecker(run: run)
    }

    /// Whether its deliveries are waited for.
    var isAwaited: Bool { state == .subscribed && !isSlow }

    /// The server's answer, taken off `bytes`, or nil if it is not whole yet.
    func readAnswer(from bytes: inout Bytes) throws -> Reply? {
        guard let line = try answer.next(from: &bytes) else { return nil }
        return Reply(line) ?? .error(reason: "\(line.content.debugDescription), which is no answer")
    }

    /// It has its `OK`: what is sent from now on must come.
    func accepted(joinedLate: Bool) {
        isAccepted = true
        ledger = DeliveryLedger(start: publisher.sent, joinedLate: joinedLate)
    }

    /// Checks what came, in place.
    ///
    /// - Parameters:
    ///   - time: nanoseconds since the beginning, when it came.
    ///   - recorder: gets the latency of each message, unless this one is slow.
    func check(_ bytes: Bytes, at time: UInt64, _ recorder: LatencyRecorder) {
        unsafe bytes.withUnsafeBytes { memory in
            var position = 0
            while let finding = unsafe checker.next(in: memory, from: &position) {
                switch finding {
                case .message(let head) where head.publisher == publisher.number && head.sequence < publisher.sent:
                    guard ledger.receive(head.sequence) else { continue }
                    let latency = time - min(time, head.time)
                    // The latency of one that does not read is its own.
                    if !isSlow { recorder.record(latency, bytes: Int(head.size)) }
                    deliveries &+= 1
                    latencies &+= latency
                case .message: ledger.receiveCorrupt(nil) // Another channel's, or one that was never sent.
                case .damaged(let head): ledger.receiveCorrupt(head.sequence)
                case .other(let line): read(line)
                }
            }
        }
    }

    /// A line that is no message.
    private func read(_ line: [UInt8]) {
        switch Reply(Line(Bytes(line + [UInt8(ascii: "\n")]))) {
        case .bye: lastWords = "BYE"
        case .error(let reason): lastWords = "ERROR \(reason)"
        case .ok, nil: ledger.receiveCorrupt(nil)
        }
    }

    /// Whether what came last was cut.
    var endedWithinMessage: Bool { !checker.isBetweenLines }

    /// The first message that its publisher may still wait for.
    var nextAwaited: UInt64 { max(ledger.next, ledger.start) }
}

/// A subscriber's connection, in one of the styles.
protocol SubscriberLink {
    func send(_ command: Command)
    /// Reads as fast as it can from now on, if it was slow.
    func hurry()
}
