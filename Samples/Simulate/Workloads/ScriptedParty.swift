import UringReactor

/// A far end that is a script, and reads when it wants to.
final class ScriptedParty: Party {
    enum Fate: CaseIterable {
        case shutdown, shutdownEarly, close, reset, vanish
    }

    private let peer: any FarEnd
    private let fate: Fate
    private var budget: Int
    private var isReading = true
    private var hasVanished = false

    init(_ workload: Workload, _ name: String, _ peer: any FarEnd) {
        self.peer = peer
        fate = workload.chance(0.6) ? .shutdown : Fate.allCases[workload.number(0...4)]
        budget = workload.number(0...12)
        super.init(workload, name)
        if peer.remoteAddress.path == nil { workload.link(self, local: peer.localAddress, remote: peer.remoteAddress) }
        peer.onReceive = { [unowned self] in heard($0) }
        peer.onEnd = { [unowned self] in
            if self.peer.sawEnd { sawEnd = true }
        }
        if workload.chance(0.2) { pause() }
        continueLater()
    }

    private func continueLater() {
        workload.world.schedule(after: .microseconds(workload.delay())) { [unowned self] in step() }
    }

    private func pause() {
        isReading = false
        peer.pauseReading()
    }

    private func step() {
        guard peer.isOpen, !workload.isFinishing else { return }
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
            // Most go on reading, and the others after a while: a half-closed peer is tried again for good otherwise.
            if workload.chance(0.8) {
                resume()
            } else {
                let rest = workload.world.timeIsFree ? Duration.seconds(60) : .milliseconds(100)
                workload.world.schedule(after: rest) { [unowned self] in
                    if peer.isOpen { resume() }
                }
            }
        case .close: peer.close()
        case .reset: peer.reset()
        case .vanish:
            hasVanished = true
            if workload.chance(0.5) { pause() }
        }
    }

    override func finish() {
        guard !hasVanished, peer.isOpen else { return }
        if !endedPolitely {
            endedPolitely = true
            peer.shutdown()
        }
        resume()
    }

    override var hasFailed: Bool { peer.hasFailedToSend }

    /// Somebody who reads nothing would keep the memory of zero-copy sends.
    override func leave() { peer.close() }

    override func standstill(far: Party?) -> String? {
        guard peer.isOpen, let far = far as? LibraryParty else { return nil }
        if peer.unsent > 0, far.wantsMore { return "has \(peer.unsent) bytes that \(far.name) does not read" }
        return nil
    }

    var readsNow: Bool { isReading && peer.isOpen }
}
