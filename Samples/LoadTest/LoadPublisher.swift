import PubSub
import ReactorTesting
import UringReactor

/// One publisher: what it sends, and when. How it is connected is up to a style (``PublisherLink``).
final class LoadPublisher {
    let number: Int
    let channel: ChannelName
    /// Messages sent; the number of the next one.
    private(set) var sent: UInt64 = 0
    private(set) var bytesSent: UInt64 = 0
    /// Its way to the server, once the server has answered `OK`.
    var link: (any PublisherLink)?
    /// It publishes no more.
    private(set) var hasFinished = false
    /// Subscribers that have their `OK`, have not left, and are not slow: those whose deliveries are waited for.
    private(set) var awaited = 0

    private let plan: LoadPlan
    private let run: UInt64
    private var random: SplitMix64
    /// More waits to be sent than should.
    private var isBacklogged = false
    private let limit: UInt64
    /// Of the messages that are under way: how many subscribers have not got each, by its number modulo the size.
    private var missing: [Int32]
    /// All messages before this one have been delivered to all that are waited for.
    private var delivered: UInt64 = 0

    /// Bytes that are sent at once, if there are so many.
    private static let burst = 1 << 16

    init(number: Int, channel: ChannelName, plan: LoadPlan, run: UInt64) {
        self.number = number
        self.channel = channel
        self.plan = plan
        self.run = run
        random = SplitMix64(seed: MessageHead.mix(plan.seed) ^ UInt64(number))
        limit = plan.messageLimit ?? .max
        missing = [Int32](repeating: 0, count: plan.rate > 0 ? 0 : plan.window)
    }

    /// When the next message is to be sent, with a rate. If it is too late for that, because the server takes no more, it is
    /// sent as soon as it does, and its latency counts from when it was due.
    private var nextDue: UInt64 { plan.due(sent * UInt64(plan.publishers) + UInt64(number)) }

    /// Messages that some subscriber has not got, with a window.
    var outstanding: UInt64 { sent - delivered }

    // MARK: - Sending

    /// Sends what may be sent now.
    ///
    /// - Parameter time: nanoseconds since the beginning, read for this call.
    func publish(at time: UInt64) {
        guard !hasFinished, !isBacklogged, let link else { return }
        if let timeLimit = plan.timeLimit, time >= timeLimit { return finish() }
        while maySend(at: time) {
            var burst = BytesBuilder(capacity: min(plan.size.largest, LoadPublisher.burst))
            repeat { append(to: &burst, at: time) } while maySend(at: time) && burst.count < LoadPublisher.burst
            bytesSent += UInt64(burst.count)
            if !link.send(burst.freeze()) {
                isBacklogged = true
                break
            }
        }
        if sent == limit { finish() }
    }

    private func maySend(at time: UInt64) -> Bool {
        guard sent < limit else { return false }
        if plan.rate > 0 { return nextDue <= time }
        // Without anybody to wait for it would go on for ever: somebody is about to join.
        return awaited > 0 && sent - delivered < UInt64(plan.window)
    }

    private func append(to burst: inout BytesBuilder, at time: UInt64) {
        let head = MessageHead(
            sequence: sent, time: plan.rate > 0 ? nextDue : time, publisher: UInt32(number),
            size: UInt32(plan.size.draw(from: &random)))
        TestMessage.append(head, run: run, to: &burst)
        if plan.rate == 0 { missing[Int(sent % UInt64(plan.window))] = Int32(awaited) }
        sent += 1
    }

    /// There is room again.
    func drained(at time: UInt64) {
        isBacklogged = false
        publish(at: time)
    }

    /// Publishes no more; the server is told so behind all messages, and closes when it has seen them.
    func finish() {
        guard !hasFinished else { return }
        hasFinished = true
        _ = link?.send(Command.bye.line)
    }

    // MARK: - Who has got what

    /// A subscriber has its `OK`: it gets all that is sent from now on.
    func attached() { awaited += 1 }

    /// A subscriber is not waited for any more, and had got all before `next`.
    func detached(next: UInt64) {
        awaited -= 1
        acknowledge(from: next, to: sent)
    }

    /// A subscriber that is waited for has got some messages, or will not get them any more.
    ///
    /// - Returns: whether there is room in the window that was not there before.
    @discardableResult
    func acknowledge(from first: UInt64, to end: UInt64) -> Bool {
        guard plan.rate == 0, first < end else { return false }
        // Those before have been delivered, or were sent before the subscriber joined.
        for message in max(first, delivered)..<max(end, delivered) {
            missing[Int(message % UInt64(plan.window))] -= 1
        }
        let before = delivered
        while delivered < sent, missing[Int(delivered % UInt64(plan.window))] <= 0 { delivered += 1 }
        return delivered > before
    }
}

/// A publisher's connection, in one of the styles.
protocol PublisherLink {
    /// Sends some messages.
    ///
    /// - Returns: whether there is room for more. If not, ``LoadPublisher/drained(at:)`` is called when there is.
    func send(_ bytes: Bytes) -> Bool
}
