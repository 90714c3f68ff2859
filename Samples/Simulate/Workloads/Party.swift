import ReactorTesting
import UringReactor

/// One end of a connection: what it says, what it hears, and how it ends.
class Party: CustomStringConvertible {
    unowned let workload: Workload
    let name: String
    let outgoing: Stream
    private(set) var arrivals = Arrivals()
    /// Sends back what it hears, and nothing of its own.
    var isEchoing = false
    /// The stream's end came, not an error.
    final var sawEnd = false
    /// A send failed. What a receive finds then is called an end, too: an error is reported once.
    var hasFailed: Bool { false }
    /// Everything that it took to send was sent, and then its end.
    final var endedPolitely = false
    /// What it took to send may be dropped, whole, because the far end is slow.
    var dropsLater: Bool { false }

    private struct Kept {
        let slice: Bytes
        let copy: [UInt8]
    }
    private var kept: [Kept] = []

    init(_ workload: Workload, _ name: String) {
        self.workload = workload
        self.name = name
        outgoing = workload.makeStream()
    }

    /// For messages: what is known of it.
    var description: String {
        "\(name) echoes \(isEchoing), heard \(arrivals.messages.count), accepted \(outgoing.accepted)"
    }

    final func fail(_ text: String) { workload.fail("\(name): \(text)") }

    final func heard(_ bytes: Bytes) {
        if bytes.isEmpty { fail("heard nothing") }
        if let fault = arrivals.take(bytes) { fail(fault) }
        // Some slices are kept for a while: nobody else may write to them.
        if workload.chance(0.15) { kept.append(Kept(slice: bytes, copy: Array(bytes))) }
        if workload.chance(0.1) { release() }
    }

    /// Lets go of what was kept, and looks whether it is as it was.
    final func release() {
        for piece in kept where Array(piece.slice) != piece.copy { fail("bytes that were kept have changed") }
        kept = []
    }

    /// Nobody waits for anything any more: ends politely, hears everything.
    func finish() {}

    /// The reactor stops: lets go of what it still has of the connection.
    func leave() {}

    /// What it waits for although nothing can happen any more, or nil.
    func standstill(far: Party?) -> String? { nil }

    /// A message of random size, often small.
    final func nextMessage() -> (number: Int, bytes: [UInt8]) {
        let most = workload.chance(0.05) ? 20_000 : workload.chance(0.3) ? 2_500 : 80
        return outgoing.make(length: workload.number(0...most))
    }

    /// When everything is over.
    final func check(far: Party?) {
        release()
        guard let far else { return }
        let writer = far.isEchoing ? outgoing : far.outgoing
        if let stream = arrivals.stream, stream != writer.number {
            return fail("heard stream \(stream) from \(far.name), which said \(writer.number)")
        }
        let isWhole = sawEnd && !hasFailed && far.endedPolitely && (!far.isEchoing || far.sawEnd)
        if isWhole, arrivals.isCut {
            fail("the last message of \(far.name) is cut, though both ended politely\n\(self)\n\(far)")
        }
        let mayDrop = far.dropsLater || far.isEchoing && dropsLater
        let fault = writer.fault(of: arrivals.messages, isWhole: isWhole, mayDropLater: mayDrop)
        if let fault { fail("\(fault), from \(far.name)") }
    }
}

/// A far end that is a script, and reads when it wants to.
final class ScriptedParty: Party {
    enum Fate: CaseIterable {
        case shutdown, shutdownEarly, close, reset, vanish
    }

    private let peer: SimulatedPeer
    private let fate: Fate
    private var budget: Int
    private var isReading = true
    private var hasVanished = false

    init(_ workload: Workload, _ name: String, _ peer: SimulatedPeer) {
        self.peer = peer
        fate = workload.chance(0.6) ? .shutdown : Fate.allCases[workload.number(0...4)]
        budget = workload.number(0...12)
        super.init(workload, name)
        workload.link(self, local: peer.localAddress, remote: peer.remoteAddress)
        peer.onReceive = { [unowned self] peer, bytes in
            heard(bytes)
            _ = peer.takeReceived()
        }
        peer.onEnd = { [unowned self] peer in
            if peer.sawEnd, peer.state == .open { sawEnd = true }
        }
        if workload.chance(0.2) { pause() }
        continueLater()
    }

    private func continueLater() {
        workload.kernel.schedule(after: .microseconds(workload.delay())) { [unowned self] in step() }
    }

    private func pause() {
        isReading = false
        peer.pauseReading()
    }

    private func step() {
        guard peer.state == .open || peer.state == .connecting, !workload.isFinishing else { return }
        if workload.chance(0.3) {
            if isReading { pause() } else { resume() }
        } else if !isReading, workload.chance(0.5) {
            peer.read(upTo: workload.number(1...4_000))
        }
        guard budget > 0 else { return end() }
        budget -= 1
        say()
        continueLater()
    }

    private func resume() {
        isReading = true
        peer.resumeReading()
    }

    private func say() {
        let (number, bytes) = nextMessage()
        outgoing.accept(number)
        // In two parts, so that the end of a message and the next one's beginning come together.
        let cut = workload.number(0...bytes.count)
        peer.send(Bytes(Array(bytes[..<cut])))
        if cut < bytes.count { peer.send(Bytes(Array(bytes[cut...]))) }
    }

    private func end() {
        switch fate {
        case .shutdown, .shutdownEarly:
            endedPolitely = true
            peer.shutdown()
            // Most go on reading.
            if workload.chance(0.8) { resume() }
        case .close: peer.close()
        case .reset: peer.reset()
        case .vanish:
            hasVanished = true
            if workload.chance(0.5) { pause() }
        }
    }

    override func finish() {
        guard !hasVanished, peer.state == .open || peer.state == .connecting else { return }
        if !endedPolitely {
            endedPolitely = true
            peer.shutdown()
        }
        resume()
    }

    override var hasFailed: Bool { peer.sendFailure != nil }

    /// Somebody who reads nothing would keep the memory of zero-copy sends.
    override func leave() { peer.close() }

    override func standstill(far: Party?) -> String? {
        guard peer.state == .open, let far = far as? LibraryParty else { return nil }
        if peer.unsent > 0, far.wantsMore { return "has \(peer.unsent) bytes that \(far.name) does not read" }
        return nil
    }

    var readsNow: Bool { isReading && peer.state == .open }
}
