import PubSub
import UringReactor

/// A client of the library's, in either style: what its callbacks say.
class LibraryMember: PubSubMember {
    unowned let play: PubSubWorkload
    let name: String
    let style: any ClientStyle.Type
    final var connection: Connection?
    final private(set) var isReady = false
    /// Why it ended: what was said first.
    final private(set) var end: ClientEnd?
    /// It did something after which everything may follow.
    final var isRude = false
    private var hasBegun = false

    init(_ play: PubSubWorkload, _ name: String) {
        self.play = play
        let isCallbacks = play.chance(0.5)
        style = isCallbacks ? CallbackStyle.self : StateMachineStyle.self
        self.name = "\(name), \(isCallbacks ? "callbacks" : "state machine")"
    }

    final var isOver: Bool { end != nil || !hasBegun }
    var mayStay: Bool { false }
    final var hasJoined: Bool { isReady }
    var isPausing: Bool { false }

    final func fail(_ text: String) { play.fail("\(name): \(text)") }

    func begin() { hasBegun = true }

    func ready() {
        if isReady { fail("was accepted twice") }
        if end != nil { fail("was accepted after its end") }
        isReady = true
    }

    func ended(_ end: ClientEnd) {
        guard self.end == nil else { return }
        self.end = end
        if play.plan.isCalm, !isRude, !play.wasStopped, !isLegal(end) { fail("ended: \(end)") }
    }

    /// Whether it may end so, when no connection breaks.
    func isLegal(_ end: ClientEnd) -> Bool {
        if case .refused(let reason) = end, !isReady { return play.plan.isRefusal(reason) }
        return play.isClosing && end == .finished
    }

    func finish() {}
    func judge() {}
    final func leave() {}

    /// Ends in a way that nobody expects.
    final func vanish() {
        isRude = true
        connection?.abort()
    }
}

final class LibrarySubscriber: LibraryMember {
    private let ear: Ear
    private var hasLeft = false
    private var isPaused = false
    private var steps: Int

    private struct Whim: Error {}

    init(_ play: PubSubWorkload, _ number: Int) {
        ear = play.makeEar("subscriber \(number)")
        steps = play.number(0...10)
        super.init(play, ear.name)
    }

    override var mayStay: Bool { !hasLeft && !isRude }
    override var isPausing: Bool { isPaused || end != nil }

    override func begin() {
        super.begin()
        guard let channel = try? ChannelName("channel-\(ear.channel)") else { return }
        connection = style.subscribe(
            to: channel, at: play.address, on: play.reactor,
            onReady: { [self] in
                ready()
                ear.join()
                act()
            },
            onMessage: { [self] in try hear($0) },
            onEnd: { [self] in
                ended($0)
                ear.end()
            })
    }

    private func hear(_ message: Bytes) throws {
        if end != nil { fail("heard a message after its end") }
        if isPaused { fail("heard a message while it paused") }
        let line = Array(message)
        ear.hear(line)
        ear.keep(message, line)
        play.checkMemory()
        if !play.plan.isCalm, !play.isFinishing, play.chance(0.003) {
            isRude = true
            play.thrown += 1
            throw Whim()
        }
    }

    private func act() {
        guard end == nil, !hasLeft, !isRude, !play.isFinishing, steps > 0 else { return }
        steps -= 1
        switch play.number(0...15) {
        case 0: bye()
        case 1 where !play.plan.isCalm: return vanish()
        case 2 where !play.plan.isCalm:
            isRude = true
            connection?.close()
        case 3...5: pause()
        default: break
        }
        play.later { [self] in act() }
    }

    private func bye() {
        hasLeft = true
        connection?.send(Command.bye.line)
    }

    /// For state machines only: callbacks receive what they ask for.
    private func pause() {
        guard style == StateMachineStyle.self, !isPaused else { return }
        // Not from within what it hears.
        play.later { [self] in
            guard end == nil, !hasLeft, !isRude, !play.isFinishing, connection?.isOpen == true else { return }
            isPaused = true
            connection?.pauseReading()
            if play.plan.isCalm || play.chance(0.7) { play.later { [self] in resume() } }
        }
    }

    private func resume() {
        guard isPaused else { return }
        isPaused = false
        connection?.resumeReading()
    }

    override func finish() {
        ear.release()
        if end == nil { resume() }
    }

    override func isLegal(_ end: ClientEnd) -> Bool {
        if case .refused("slow consumer") = end { return play.plan.dismisses }
        if end == .finished, isReady { return hasLeft || play.plan.broker.onPublisherExit == .bye || play.isClosing }
        return super.isLegal(end)
    }

    override func judge() {
        ear.isFaithful = isReady && end == nil && !hasLeft && !isRude && connection?.isOpen == true
    }
}

/// Publishes what it is asked for, at once or later.
final class LibraryPublisher: LibraryMember, MessageSource {
    private let voice: Voice
    private var budget: Int
    /// What it does when it has nothing more to say.
    private let isBlabber: Bool
    private var hasBlabbed = false
    private var isAsked = false
    private var waiting: ((Result<Bytes?, any Error>) -> Void)?
    private var hasSaidAll = false

    private struct NoMore: Error {}

    init(_ play: PubSubWorkload, _ number: Int) {
        voice = play.makeVoice()
        budget = play.number(0...12)
        isBlabber = play.chance(0.1)
        super.init(play, "publisher \(number)")
    }

    override func begin() {
        super.begin()
        guard let channel = try? ChannelName("channel-\(voice.channel)") else { return }
        connection = style.publish(
            self, to: channel, at: play.address, on: play.reactor, onReady: { [self] in ready() },
            onEnd: { [self] end in
                ended(end)
                waiting = nil
            })
        if !play.plan.isCalm, play.chance(0.05) { play.later { [self] in vanish() } }
    }

    func next(_ deliver: @escaping (Result<Bytes?, any Error>) -> Void) {
        if isAsked { fail("was asked for messages twice") }
        if !isReady { fail("was asked for messages before it was accepted") }
        isAsked = true
        if play.chance(0.5) { return give(deliver) }
        if play.chance(0.1), !play.isFinishing { return waiting = deliver }
        play.later { [self] in give(deliver) }
    }

    private func give(_ deliver: (Result<Bytes?, any Error>) -> Void) {
        isAsked = false
        // Whoever has ended sends no more.
        guard end == nil else { return deliver(.success(nil)) }
        if !play.plan.isCalm, play.chance(0.005) {
            isRude = true
            return deliver(.failure(NoMore()))
        }
        guard budget > 0, !play.isFinishing else { return giveLast(deliver) }
        budget -= 1
        var lines: [UInt8] = []
        for _ in 0..<play.number(1...4) { lines += play.message(voice) }
        deliver(.success(Bytes(lines)))
    }

    private func giveLast(_ deliver: (Result<Bytes?, any Error>) -> Void) {
        if isBlabber, !hasBlabbed {
            hasBlabbed = true
            let length = play.plan.broker.limits.message + play.number(1...100)
            return deliver(.success(Bytes([UInt8](repeating: 65, count: length) + [10])))
        }
        hasSaidAll = true
        deliver(.success(nil))
    }

    override func finish() {
        guard let deliver = waiting else { return }
        waiting = nil
        give(deliver)
    }

    override func isLegal(_ end: ClientEnd) -> Bool {
        switch end {
        case .finished where isReady: hasSaidAll && !hasBlabbed || play.isClosing
        case .refused(let reason) where isReady: hasBlabbed && reason == play.plan.lineTooLong
        default: super.isLegal(end)
        }
    }

    override func judge() {
        voice.isDone = end == .finished && hasSaidAll && !isRude && !play.isClosing
            && play.plan.isPatient
        voice.isRefused = !isReady
    }
}
