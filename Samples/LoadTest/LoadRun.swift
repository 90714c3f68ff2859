import Glibc
import PubSub
import ReactorTesting
import UringReactor

/// A load test under way: connects all, has the publishers publish, and waits for what must come of it.
///
///     connecting ──▶ publishing ──▶ draining ──▶ over
///
/// Publishers begin when every subscriber, and every publisher, has its `OK`. In the end each publisher says `BYE`, which
/// the server answers by closing when it has seen all messages before; then each subscriber does, and gets all that is
/// queued for it before the end. So nobody has to wait in order to know what was lost.
final class LoadRun {
    enum Phase: Comparable {
        case connecting, publishing, draining, over
    }

    let plan: LoadPlan
    let address: SocketAddress
    let reactor: Reactor
    let recorder = LatencyRecorder()
    private(set) var phase = Phase.connecting
    private(set) var series = RateSeries()
    let publishers: [LoadPublisher]
    /// Those that have, or will have, each place; who has left is not here any more.
    var subscribers: [LoadSubscriber] = []
    /// What is found at the end of each subscriber.
    private(set) var found = DeliveryLedger.Counts()
    private(set) var tally = LoadTally()
    /// Nanoseconds of ``clock`` when the publishers began, and when the last delivery came.
    private(set) var startedAt: UInt64 = 0
    private(set) var lastDelivery: UInt64 = 0
    /// Called a few times a second, and at each change of the phase.
    var onTick: () -> Void = {}
    /// Called when the publishers begin.
    var onBegin: () -> Void = {}

    /// The time, exactly: the reactor's is that of the beginning of a turn.
    let clock: () -> UInt64
    let run: UInt64
    /// The place of whom leaves next, and how many have been asked to.
    var churnCursor = 0
    var departuresDue = 0
    /// Connections that have not got their answer.
    private var asking = 0
    private var nextToConnect = 0
    private var answered = 0
    /// Connections that have not ended.
    private var open = 0
    private var openPublishers = 0
    private var finishedPublishers = 0
    /// With a rate: the number of the next message, of all publishers in turn.
    private var turn: UInt64 = 0
    /// When something last went forward, or when nothing was due.
    private var lastProgress: UInt64 = 0
    private var drainDeadline: UInt64 = .max

    /// Connections that are being made at once: fewer than the kernel queues for a server that listens.
    private static let mostAsking = 256

    /// - Parameters:
    ///   - run: a number that no other run has, as far as possible.
    ///   - clock: nanoseconds of the clock that `reactor.now` shows.
    init(
        _ plan: LoadPlan, at address: SocketAddress, on reactor: Reactor, run: UInt64, clock: @escaping () -> UInt64
    ) throws {
        self.plan = plan
        self.address = address
        self.reactor = reactor
        self.run = run
        self.clock = clock
        publishers = try (0..<plan.publishers).map {
            let channel = try ChannelName("load-\(String(run, radix: 36))-\($0)")
            return LoadPublisher(number: $0, channel: channel, plan: plan, run: run)
        }
        subscribers.reserveCapacity(plan.allSubscribers)
        for place in 0..<plan.allSubscribers {
            // A publisher's first subscriber is never slow, unless all are.
            let isSlow = place / plan.publishers >= plan.subscribers - plan.slowSubscribers
            subscribers.append(
                LoadSubscriber(of: publishers[place % plan.publishers], run: run, isSlow: isSlow, isReplacement: false))
        }
    }

    /// Nanoseconds since the publishers began.
    func elapsed(at time: UInt64) -> UInt64 { time - min(time, startedAt) }

    /// Seconds from the beginning to the last delivery.
    var seconds: Double { Double(elapsed(at: lastDelivery)) / 1e9 }

    /// What is done of the present phase, from 0 to 1.
    var share: Double {
        switch phase {
        case .connecting: Double(answered) / Double(plan.connections)
        case .publishing:
            if let limit = plan.messageLimit {
                Double(publishers.reduce(0) { $0 + $1.sent }) / (Double(limit) * Double(plan.publishers))
            } else {
                Double(elapsed(at: clock())) / Double(plan.timeLimit ?? 1)
            }
        case .draining, .over: 1
        }
    }

    var connectionsAnswered: Int { answered }

    // MARK: - Connecting

    /// Begins; to be called once, on the reactor's thread.
    func start() {
        startedAt = clock()
        lastProgress = startedAt
        reactor.every(.milliseconds(100)) { [self] in tick() }
        connectMore()
    }

    /// Makes the connections whose time has come, subscribers first.
    private func connectMore() {
        while phase == .connecting, nextToConnect < plan.connections, asking < LoadRun.mostAsking {
            let due = UInt64(plan.rampUp * 1e9 * Double(nextToConnect) / Double(plan.connections))
            let now = elapsed(at: clock())
            guard due <= now else {
                reactor.after(.nanoseconds(due - now)) { [self] in connectMore() }
                return
            }
            let number = nextToConnect
            nextToConnect += 1
            asking += 1
            open += 1
            if number < subscribers.count {
                plan.style.connect(subscribers[number], in: self)
            } else {
                openPublishers += 1
                plan.style.connect(publishers[number - subscribers.count], in: self)
            }
        }
    }

    /// How clients connect. A server that reads slowly is no error of theirs, so nothing is ended for that: ``tick()`` sees
    /// when nothing goes forward.
    var options: ConnectionOptions {
        var options = ConnectionOptions()
        options.writeTimeout = nil
        options.flushTimeout = .seconds(plan.drainTimeout)
        return options
    }
    var connectTimeout: Duration { .seconds(plan.patience) }
    var socketOptions: [SocketOption: Int] { address.family == .unix ? [:] : [.noDelay: 1] }

    private func noteAnswer() {
        lastProgress = clock()
        guard phase == .connecting else { return }
        answered += 1
        asking -= 1
        if answered == plan.connections { begin() } else { connectMore() }
    }

    // MARK: - Publishing

    private func begin() {
        phase = .publishing
        startedAt = clock()
        lastDelivery = startedAt
        onBegin()
        if plan.churn > 0 { churn() }
        if let timeLimit = plan.timeLimit {
            reactor.after(.nanoseconds(timeLimit)) { [self] in drain() }
        }
        for publisher in publishers { publish(publisher) }
        publishWhatIsDue()
    }

    /// Has a publisher send what it may.
    private func publish(_ publisher: LoadPublisher) {
        guard phase == .publishing else { return }
        let wasFinished = publisher.hasFinished
        publisher.publish(at: elapsed(at: clock()))
        if publisher.hasFinished, !wasFinished { noteFinished() }
    }

    private func noteFinished() {
        finishedPublishers += 1
        if finishedPublishers == publishers.count { drain() }
    }

    /// With a rate: all messages whose time has come, and again when the next one's does. The publishers take turns.
    private func publishWhatIsDue() {
        guard plan.rate > 0 else { return }
        while phase == .publishing {
            let wait = Int64(clamping: plan.due(turn)) - Int64(clamping: elapsed(at: clock()))
            guard wait <= 0 else {
                reactor.after(.nanoseconds(wait)) { [self] in publishWhatIsDue() }
                return
            }
            publish(publishers[Int(turn % UInt64(publishers.count))])
            turn += 1
        }
    }

    // MARK: - What publishers hear

    /// The server has said something to a publisher.
    func heard(_ reply: Reply?, by publisher: LoadPublisher, link: any PublisherLink) {
        switch reply {
        case .ok where publisher.link == nil:
            publisher.link = link
            noteAnswer()
        case .error(let reason): fail("a publisher was told: ERROR \(reason)")
        case .bye: break
        case .ok, nil: fail("a publisher was told something that is no answer")
        }
    }

    /// What a publisher sent has gone out: there is room for more.
    func drained(_ publisher: LoadPublisher) {
        guard phase == .publishing else { return }
        let wasFinished = publisher.hasFinished
        publisher.drained(at: elapsed(at: clock()))
        if publisher.hasFinished, !wasFinished { noteFinished() }
    }

    /// A publisher's connection has ended.
    func closed(_ publisher: LoadPublisher, _ reason: CloseReason, sawEnd: Bool) {
        guard phase != .over else { return }
        open -= 1
        openPublishers -= 1
        let isPlanned = publisher.hasFinished && sawEnd
        publisher.link = nil
        if !isPlanned {
            tally.note(.publisher, ended: reason, sawEnd: sawEnd, answered: phase > .connecting)
            if phase == .connecting { return end() }
            drain()
        }
        if phase == .draining, openPublishers == 0 { dismissSubscribers() }
        endIfAllHaveEnded()
    }

    // MARK: - What subscribers hear

    /// Something has come for a subscriber.
    func received(_ bytes: Bytes, by subscriber: LoadSubscriber) throws {
        var bytes = bytes
        if !subscriber.isAccepted {
            guard let reply = try subscriber.readAnswer(from: &bytes) else { return }
            guard case .ok = reply else {
                if case .error(let reason) = reply { fail("a subscriber was told: ERROR \(reason)") }
                return
            }
            accepted(subscriber)
        }
        guard !bytes.isEmpty else { return }
        let before = subscriber.nextAwaited
        let deliveries = subscriber.deliveries
        subscriber.check(bytes, at: elapsed(at: reactor.now), recorder)
        if subscriber.deliveries != deliveries {
            lastDelivery = reactor.now
            lastProgress = reactor.now
        }
        if subscriber.isAwaited, subscriber.publisher.acknowledge(from: before, to: subscriber.nextAwaited) {
            publish(subscriber.publisher)
        }
    }

    private func accepted(_ subscriber: LoadSubscriber) {
        subscriber.accepted(joinedLate: phase > .connecting)
        if subscriber.state == .leaving {
            subscriber.link?.send(.bye)
        } else {
            subscriber.state = .subscribed
            if !subscriber.isSlow { subscriber.publisher.attached() }
            if subscriber.isReplacement { tally.joined += 1 }
        }
        if !subscriber.isReplacement { noteAnswer() }
        publish(subscriber.publisher)
    }

    /// A subscriber's connection has ended.
    func closed(_ subscriber: LoadSubscriber, _ reason: CloseReason) {
        guard phase != .over else { return }
        open -= 1
        lastProgress = clock()
        let wasLeaving = subscriber.state == .leaving
        stopWaiting(for: subscriber)
        // A server may send its subscribers away when their publisher has left.
        let isPlanned = subscriber.sawEnd && (wasLeaving && subscriber.lastWords == nil || wasDismissed(subscriber))
        settle(subscriber, stayed: isPlanned && phase == .draining && !subscriber.leftEarly)
        if !isPlanned {
            if subscriber.isSlow, phase > .connecting {
                tally.slowEnded += 1
            } else {
                tally.note(
                    .subscriber, ended: reason, sawEnd: subscriber.sawEnd, answered: subscriber.isAccepted,
                    lastWords: subscriber.lastWords)
            }
            if phase == .connecting { return end() }
        }
        if phase == .publishing {
            publish(subscriber.publisher)
            // With nobody left to deliver to there is nothing to measure.
            if open == openPublishers { drain() }
        }
        endIfAllHaveEnded()
    }

    private func wasDismissed(_ subscriber: LoadSubscriber) -> Bool {
        subscriber.lastWords == "BYE" && subscriber.publisher.hasFinished
    }

    private func stopWaiting(for subscriber: LoadSubscriber) {
        if subscriber.isAwaited { subscriber.publisher.detached(next: subscriber.nextAwaited) }
        subscriber.state = .ended
    }

    /// Adds what a subscriber has found to what all have.
    ///
    /// - Parameter stayed: whether it must have got all to the end.
    private func settle(_ subscriber: LoadSubscriber, stayed: Bool) {
        var counts = subscriber.ledger.settled(sent: stayed ? subscriber.publisher.sent : nil)
        if subscriber.isSlow {
            // What the server does about those who do not keep up is its policy's choice.
            tally.slowMissed += counts.lost
            tally.slowReceived += subscriber.deliveries
            counts.lost = 0
        }
        found = found + counts
        if subscriber.isAccepted, !subscriber.isReplacement, !subscriber.isSlow, stayed {
            tally.add(deliveries: subscriber.deliveries, latencies: subscriber.latencies)
        }
    }

    /// Has a subscriber leave: what was sent to it before still comes.
    func dismiss(_ subscriber: LoadSubscriber) {
        guard subscriber.state == .subscribed || subscriber.state == .asking else { return }
        if subscriber.isAwaited { subscriber.publisher.detached(next: subscriber.nextAwaited) }
        subscriber.state = .leaving
        if subscriber.isAccepted { subscriber.link?.send(.bye) }
    }

    /// A subscriber leaves before the end, to be replaced.
    func noteLeft(_ subscriber: LoadSubscriber) {
        tally.left += 1
        subscriber.leftEarly = true
    }

    /// Makes the connection of a subscriber that takes another's place.
    func connect(_ subscriber: LoadSubscriber) {
        open += 1
        plan.style.connect(subscriber, in: self)
    }

    // MARK: - The end

    /// Ends early; what was measured until now counts.
    func interrupt() {
        guard phase < .draining else { return }
        if phase == .connecting {
            fail("interrupted after \(answered) of \(plan.connections) connections")
        } else {
            tally.wasInterrupted = true
            drain()
        }
    }

    /// The publishers finish.
    private func drain() {
        guard phase == .publishing else { return }
        phase = .draining
        onTick()
        drainDeadline = clock() + UInt64(plan.drainTimeout * 1e9)
        for publisher in publishers { publisher.finish() }
        for subscriber in subscribers where subscriber.isSlow { subscriber.link?.hurry() }
        if openPublishers == 0 { dismissSubscribers() }
        endIfAllHaveEnded()
    }

    /// The server has seen all that was published: subscribers get what is queued for them, and the end.
    private func dismissSubscribers() {
        for subscriber in subscribers { dismiss(subscriber) }
    }

    private func endIfAllHaveEnded() {
        if phase == .draining, open == 0 { end() }
    }

    private func fail(_ failure: String) {
        guard phase != .over else { return }
        tally.note(failure)
        // Nothing can be measured without all of them.
        if phase == .connecting { end() } else { drain() }
    }

    private func end() {
        guard phase != .over else { return }
        let wasDraining = phase == .draining
        phase = .over
        if wasDraining {
            series.end(total: recorder.count, at: elapsed(at: lastDelivery))
            if open > 0 {
                tally.note("the server had not ended \(open) connections \(plan.drainTimeout) s after the last message")
            }
            for subscriber in subscribers where subscriber.isAccepted && subscriber.state != .ended {
                settle(subscriber, stayed: true)
            }
        }
        onTick()
        reactor.stop()
    }

    // MARK: - Watching

    private func tick() {
        let now = clock()
        switch phase {
        case .connecting:
            if asking > 0, now - min(now, lastProgress) > patience {
                let asked = "\(asking) of \(nextToConnect) connections"
                fail("the server has not answered \(asked) for \(plan.patience) s")
            }
        case .publishing:
            series.note(total: recorder.count, at: elapsed(at: now))
            if isWaitingForNothing { lastProgress = now }
            if now - min(now, lastProgress) > patience {
                tally.note("no delivery came for \(plan.patience) s while messages were under way")
                drain()
            }
        case .draining:
            series.note(total: recorder.count, at: elapsed(at: now))
            if now >= drainDeadline { end() }
        case .over: break
        }
        onTick()
    }

    private var patience: UInt64 { UInt64(plan.patience * 1e9) }

    /// Whether all that was sent has been delivered. Looked at only when nothing has come for a while.
    private var isWaitingForNothing: Bool {
        clock() - min(clock(), lastProgress) > 200_000_000
            && subscribers.allSatisfy { !$0.isAwaited || $0.nextAwaited >= $0.publisher.sent }
    }
}
