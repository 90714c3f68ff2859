import PubSub
import UringReactor

/// A script that speaks the protocol over a connection of its own, well or badly.
class ScriptedMember: PubSubMember {
    unowned let play: PubSubWorkload
    let name: String
    final private(set) var peer: (any FarEnd)?
    /// It was told `OK`.
    final private(set) var hasJoined = false
    /// It was told `ERROR`, and why.
    final private(set) var refusal: String?
    final var isRude = false
    final var isPaused = false
    private var rest: [UInt8] = []

    init(_ play: PubSubWorkload, _ name: String) {
        (self.play, self.name) = (play, "scripted \(name)")
    }

    final var isOver: Bool { peer.map { !$0.isOpen || $0.sawEnd } ?? true }
    var mayStay: Bool { false }
    final var isPausing: Bool { isPaused || isOver }
    func finish() {}
    func judge() {}
    /// Somebody who reads nothing would keep the memory of zero-copy sends.
    final func leave() { peer?.close() }

    final func fail(_ text: String) { play.fail("\(name): \(text)") }

    func begin() {
        guard let peer = try? play.world.connect(to: play.address) else {
            if play.plan.isCalm { fail("cannot connect") }
            return
        }
        self.peer = peer
        peer.onReceive = { [unowned self] in receive($0) }
        peer.onEnd = { [unowned self] in
            // Whoever ends, or is ended, at the same time may miss it.
            if play.plan.isCalm, !isRude, !play.wasStopped, self.peer?.sawEnd == true { heardEnd() }
        }
    }

    private func receive(_ bytes: Bytes) {
        play.checkMemory()
        rest += bytes
        while let end = rest.firstIndex(of: 10) {
            let line = Array(rest[...end])
            rest.removeSubrange(...end)
            hear(line)
        }
    }

    private func hear(_ line: [UInt8]) {
        if refusal != nil { fail("heard a line after an error") }
        if hasJoined { return heard(line) }
        let text = String(decoding: line, as: UTF8.self)
        if text == "OK\r\n" {
            hasJoined = true
            joined()
        } else {
            refused(line)
        }
    }

    final func refused(_ line: [UInt8]) {
        let text = String(decoding: line, as: UTF8.self)
        guard text.hasPrefix("ERROR "), text.hasSuffix("\r\n") else { return fail("was told \(text.debugDescription)") }
        refusal = String(text.dropFirst(6).dropLast())
    }

    func joined() {}
    func heard(_ line: [UInt8]) { refused(line) }

    /// The server has ended its side, and nothing was lost: looks whether it said what it should.
    func heardEnd() {
        if !rest.isEmpty { fail("heard \(rest.count) bytes of a line that was cut") }
        if let refusal, !hasJoined, !isExpected(refusal) { fail("was refused: \(refusal)") }
    }

    func isExpected(_ refusal: String) -> Bool { play.plan.isRefusal(refusal) }

    final func breakOff() {
        isRude = true
        play.chance(0.5) ? peer?.reset() : peer?.close()
    }
}

final class ScriptedSubscriber: ScriptedMember {
    private let ear: Ear
    private var hasLeft = false
    private var isRambling = false
    private var steps: Int

    init(_ play: PubSubWorkload, _ number: Int) {
        ear = play.makeEar("scripted subscriber \(number)")
        steps = play.number(0...16)
        super.init(play, "subscriber \(number)")
    }

    override var mayStay: Bool { !hasLeft && !isRude && refusal == nil }

    override func begin() {
        super.begin()
        peer?.send(play.command("SUBSCRIBE", ear.channel))
        play.farLater { [unowned self] in step() }
    }

    override func joined() { ear.join() }

    override func heard(_ line: [UInt8]) {
        if String(decoding: line, as: UTF8.self) == "BYE\r\n" {
            if play.plan.broker.onPublisherExit == .keep { fail("was told BYE") }
            return ear.end()
        }
        ear.hear(line)
        if play.plan.isCalm, let farewell = ear.farewell {
            let isSlow = farewell == "slow consumer" && play.plan.dismisses
            if !isSlow, !isRambling || !farewell.hasPrefix("a subscriber may only send BYE") { fail("was told \(farewell)") }
        }
    }

    override func heardEnd() {
        super.heardEnd()
        let isExpected = hasLeft || play.isClosing || refusal != nil || ear.farewell != nil
        if !isExpected, play.plan.broker.onPublisherExit == .keep { fail("was ended for no reason") }
    }

    private func step() {
        guard let peer, peer.isOpen, !play.isFinishing, !hasLeft, steps > 0 else { return }
        steps -= 1
        switch play.number(0...20) {
        case 0: leave { $0.send("BYE\r\n") }
        case 1: leave { $0.shutdown() }
        case 2:
            isRambling = true
            leave { $0.send("more, please\n") }
        case 3 where !play.plan.isCalm:
            hasLeft = true
            return breakOff()
        case 4...8: pause()
        case 9...12: resume()
        default: if isPaused { peer.read(upTo: play.number(1...3_000)) }
        }
        play.farLater { [unowned self] in step() }
    }

    private func leave(_ how: (any FarEnd) -> Void) {
        guard let peer else { return }
        hasLeft = true
        how(peer)
        if play.plan.isCalm { resume() }
    }

    private func pause() {
        isPaused = true
        peer?.pauseReading()
        if play.plan.isCalm { play.farLater { [unowned self] in resume() } }
    }

    private func resume() {
        isPaused = false
        peer?.resumeReading()
    }

    override func finish() {
        guard let peer, peer.isOpen else { return }
        resume()
        if hasLeft { peer.shutdown() }
    }

    override func judge() {
        ear.isFaithful = hasJoined && !hasLeft && !isRude && ear.farewell == nil && !isOver
    }
}

final class ScriptedPublisher: ScriptedMember {
    enum Fate: CaseIterable {
        case shutdown, bye, cut, blab, breakOff
    }

    private let voice: Voice
    private let fate: Fate
    private var budget: Int
    private var hasEnded = false

    init(_ play: PubSubWorkload, _ number: Int) {
        voice = play.makeVoice()
        let fate = play.pick(Fate.allCases)
        self.fate = fate == .breakOff && play.plan.isCalm ? .bye : fate
        budget = play.number(0...20)
        super.init(play, "publisher \(number)")
    }

    override func begin() {
        super.begin()
        peer?.send(play.command("PUBLISH", voice.channel))
        step()
    }

    private func step() {
        guard let peer, peer.isOpen, !peer.sawEnd, !hasEnded, !play.isFinishing else { return }
        guard budget > 0 else {
            // Some stay without a word.
            if play.chance(0.7) { end() }
            return
        }
        budget -= 1
        let line = play.message(voice)
        let cut = play.number(0...line.count)
        peer.send(Bytes(Array(line[..<cut])))
        if cut < line.count { peer.send(Bytes(Array(line[cut...]))) }
        if play.chance(0.3) { step() } else { play.farLater { [unowned self] in step() } }
    }

    private func end() {
        guard !hasEnded, let peer else { return }
        hasEnded = true
        switch fate {
        case .shutdown: peer.shutdown()
        case .bye: peer.send(play.chance(0.5) ? "BYE\n" : "BYE\r\nwhat follows is nobody's\n")
        case .cut:
            voice.isCut = true
            peer.send("the beginning of")
            peer.shutdown()
        case .blab:
            let length = play.plan.broker.limits.message + play.number(1...100)
            peer.send(Bytes([UInt8](repeating: 65, count: length) + [10]))
        case .breakOff: breakOff()
        }
    }

    override func finish() {
        guard let peer, peer.isOpen, !peer.sawEnd else { return }
        end()
        if fate != .breakOff { peer.shutdown() }
    }

    override func heardEnd() {
        super.heardEnd()
        guard hasJoined else { return }
        let expected = fate == .blab ? play.plan.lineTooLong : nil
        if hasEnded, refusal != expected { fail("was told \(refusal ?? "nothing") in the end") }
        if !hasEnded, !play.isClosing { fail("was ended before its time") }
    }

    override func judge() {
        voice.isRefused = !hasJoined
        voice.isDone = hasJoined && hasEnded && peer?.sawEnd == true && peer?.hasFailedToSend == false && !isRude
            && !play.isClosing && play.plan.isPatient
    }
}

/// Says what the protocol does not know, or nothing at all.
final class Troublemaker: ScriptedMember {
    private let saying: String?

    private static let sayings: [String?] = [
        "\n", "PUBLISH\n", "PUBLISH \r\n", "SUBSCRIBE a b\n", "subscribe a\n", "SUBSCRIBE a\u{1}\n", "BYE BYE\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PUBLISH " + String(repeating: "x", count: 300) + "\n",
        String(repeating: "y", count: 5_000), nil,
    ]

    init(_ play: PubSubWorkload, _ number: Int) {
        saying = play.pick(Troublemaker.sayings)
        super.init(play, "troublemaker \(number)")
    }

    override func begin() {
        super.begin()
        guard let saying else { return }
        peer?.send(Bytes(saying))
    }

    override func joined() { fail("was accepted") }
    override func isExpected(_ refusal: String) -> Bool { saying != nil || super.isExpected(refusal) }

    override func heardEnd() {
        super.heardEnd()
        if saying != nil, refusal == nil, !play.isClosing { fail("was not told what is wrong") }
    }

    override func finish() {
        guard let peer, peer.isOpen, !peer.sawEnd else { return }
        peer.shutdown()
    }
}
