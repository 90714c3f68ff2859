import PubSub
import ReactorTesting
import SystemPackage
import UringReactor

/// The pub/sub service of the samples, with clients of the library's in both styles, and scripts, that join, publish,
/// pause, leave politely or vanish.
final class PubSubWorkload: Play {
    let plan: PubSubPlan
    private(set) var voices: [Voice] = []
    private(set) var ears: [Ear] = []
    private(set) var address = SocketAddress.loopback()
    /// The server was stopped while there was more to come.
    private(set) var isClosing = false
    /// Errors that clients have thrown.
    var thrown: UInt64 = 0
    /// Made when the run begins.
    private var service: PubSubService!
    private lazy var ledger = PubSubLedger(self)
    private var members: [any PubSubMember] = []

    init(seed: UInt64, random: SplitMix64, in world: any World, isCalm: Bool) {
        var random = random
        plan = PubSubPlan(isCalm: isCalm, &random)
        super.init(seed: seed, random: random, in: world)
    }

    override func populate() throws {
        let unix = world.scratchPath.flatMap { chance(0.3) ? try? SocketAddress.unix(path: $0) : nil }
        var configuration = plan.configuration
        world.fit(&configuration)
        let service = try PubSubService(
            on: unix ?? .loopback(), configuration: configuration, broker: plan.broker, reactor: reactor
        ) { [unowned self] in
            ledger.note($0, published: broker.messagesPublished)
            checkMemory()
        }
        self.service = service
        address = service.server.address
        for _ in 0..<number(0...3) { later { [unowned self] in join { LibrarySubscriber(self, $0) } } }
        for _ in 0..<number(0...2) { farLater { [unowned self] in join { ScriptedSubscriber(self, $0) } } }
        for _ in 0..<number(0...2) { later { [unowned self] in join { LibraryPublisher(self, $0) } } }
        for _ in 0..<number(0...2) { farLater { [unowned self] in join { ScriptedPublisher(self, $0) } } }
        for _ in 0..<number(0...1) { farLater { [unowned self] in join { Troublemaker(self, $0) } } }
        if chance(0.02) { later { [unowned self] in stop() } }
        if !plan.isCalm, chance(0.03) {
            later { [unowned self] in
                isClosing = true
                service.server.stop()
            }
        }
    }

    private func join(_ make: (Int) -> any PubSubMember) {
        // Some come late.
        guard !chance(0.2) else { return later { [make = wait(make)] in make() } }
        wait(make)()
    }

    private func wait(_ make: (Int) -> any PubSubMember) -> () -> Void {
        guard !isFinishing else { return {} }
        let member = make(members.count)
        members.append(member)
        return { [unowned self] in
            if !isFinishing { member.begin() }
        }
    }

    // MARK: - For its members

    var broker: BrokerStatistics { service.broker.statistics }

    func makeVoice() -> Voice {
        let voice = Voice(number: voices.count, channel: number(0...plan.channels - 1))
        voices.append(voice)
        return voice
    }

    func makeEar(_ name: String) -> Ear {
        let ear = Ear(self, name, channel: number(0...plan.channels - 1))
        ears.append(ear)
        return ear
    }

    func command(_ verb: String, _ channel: Int) -> Bytes {
        Bytes("\(verb) channel-\(channel)\(chance(0.5) ? "\r\n" : "\n")")
    }

    /// A message that is within the limit.
    func message(_ voice: Voice) -> [UInt8] {
        if chance(0.05) { return voice.nextEmpty() }
        // The numbers before it are no longer than this.
        let most = plan.broker.limits.message - 20
        return voice.next(length: chance(0.1) ? number(0...most) : number(0...min(most, 150)), at: world.now())
    }

    /// Memory is bounded whatever happens.
    func checkMemory() {
        let segment = 16 * world.receiveBufferSize
        let most = plan.mostPending(segment: segment)
        for connection in ledger.live where connection.pendingBytes > most {
            fail("\(connection.pendingBytes) bytes wait for \(connection), more than \(most)")
        }
        let held = broker.segmentsHeld
        if held > plan.broker.limits.heldSegments { fail("unfinished messages hold \(held) segments") }
    }

    // MARK: - Stages

    override func checkStandstill() {
        // An end that reads has everything that there is.
        let waiting = ledger.live.count { $0.pendingBytes > 0 }
        let pausing = members.count { $0.isPausing }
        if waiting > pausing {
            fail("\(waiting) connections have something to send, and \(pausing) peers do not read\n\(world.state)")
        }
    }

    override func finish() { for member in members { member.finish() } }

    override func checkFinished() {
        for member in members where !member.mayStay && !member.isOver {
            fail("\(member.name) has not ended\n\(world.state)")
        }
        if broker.publishers > 0 { fail("the broker has \(broker.publishers) publishers though all have left") }
        if ledger.pausedChannels > 0 { fail("\(ledger.pausedChannels) channels are paused though nobody is behind") }
        if broker.segmentsHeld > 0 { fail("\(broker.segmentsHeld) segments are held by nobody's messages") }
        let staying = members.count { $0.mayStay && !$0.isOver && $0.hasJoined }
        if plan.isCalm, broker.subscribers != staying {
            fail("the broker has \(broker.subscribers) subscribers, of which \(staying) know")
        }
        for member in members { member.judge() }
        for (place, ear) in ears.enumerated() {
            for voice in voices { ear.check(voice) }
            for other in ears[..<place] { ear.checkOrder(other) }
        }
    }

    override func beginStopping() {
        isClosing = true
        for ear in ears { ear.release() }
        service.server.stop()
    }

    override func checkStopped() {
        for member in members where !member.isOver { fail("\(member.name) was not told of its end") }
        checkCounts()
    }

    /// Where nothing is lost and nobody is dismissed, all that was said, delivered and heard adds up.
    private func checkCounts() {
        let (broker, statistics) = (broker, reactor.statistics)
        if statistics.errorsThrown != thrown { fail("\(statistics.errorsThrown) errors were thrown, not \(thrown)") }
        guard plan.isCalm else { return }
        let said = voices.filter { !$0.isRefused }.reduce(0) { $0 + $1.said + $1.empties }
        if broker.messagesPublished != said { fail("\(broker.messagesPublished) messages were published, and \(said) said") }
        let cut = voices.count { $0.isCut && !$0.isRefused }
        if broker.fragmentsDropped != cut || ledger.fragments != cut {
            fail("\(broker.fragmentsDropped) of \(cut) fragments were dropped")
        }
        guard statistics.slowConsumers == 0 else { return }
        if plan.channels == 1, broker.deliveries + broker.messagesDropped != ledger.due {
            fail("\(ledger.due) messages were due, \(broker.deliveries) delivered and \(broker.messagesDropped) dropped")
        }
        if plan.choice != .dropOldest {
            let heard = ears.reduce(0) { $0 + $1.lines }
            if broker.deliveries != heard { fail("\(broker.deliveries) messages were delivered, and \(heard) heard") }
        } else if plan.broker.onPublisherExit == .keep, broker.messagesDropped == 0, ledger.refusals == 0 {
            let heard = ears.reduce(0) { $0 + UInt64($1.bytes) }
            if broker.bytesOut != heard + statistics.bytesDropped + ledger.replies {
                fail("of \(broker.bytesOut) bytes \(heard) were heard and \(statistics.bytesDropped) dropped")
            }
        }
    }

    override func leave() { for member in members { member.leave() } }

    override func checkOver() {
        for ear in ears { ear.release() }
        for member in members where !member.isOver { fail("\(member.name) was never told of its end") }
        let broker = broker
        let left = broker.subscribers + broker.publishers + broker.channels + broker.segmentsHeld
        if left > 0 || !ledger.live.isEmpty {
            fail("the broker has not forgotten everybody: \(broker)")
        }
        if ledger.pausedChannels > 0 { fail("\(ledger.pausedChannels) channels were never resumed") }
        members = []
    }
}

/// Somebody on the other side of the service.
protocol PubSubMember: AnyObject {
    var name: String { get }
    func begin()
    /// It has heard its end.
    var isOver: Bool { get }
    /// Somebody who stays until the server ends it.
    var mayStay: Bool { get }
    /// The broker has taken it for what it wants to be.
    var hasJoined: Bool { get }
    /// It does not read, or not yet or not any more.
    var isPausing: Bool { get }
    /// Ends politely; who may stay reads everything.
    func finish()
    /// Everybody has ended who was to.
    func judge()
    /// The reactor stops.
    func leave()
}

extension PubSubMember {
    var mayStay: Bool { false }
    var hasJoined: Bool { false }
    var isPausing: Bool { false }
    func judge() {}
    func leave() {}
}
