import ReactorTesting
import SystemPackage
import UringReactor

/// Says random bytes, and hears them again.
class EchoClient {
    unowned let play: EchoWorkload
    let number: Int
    private(set) var sent = 0
    private(set) var heard = 0
    private var budget: Int
    /// It has ended its sending after all that it had to say, and waits for the rest and the end.
    private(set) var isPolite = false
    /// It says and reads nothing any more.
    private(set) var hasVanished = false
    private(set) var isReading = true
    /// The far end has ended its sending, and not by an error.
    var sawEnd = false

    init(_ play: EchoWorkload, _ number: Int) {
        (self.play, self.number) = (play, number)
        budget = play.number(0...12)
    }

    // What the two kinds do differently.
    var isOver: Bool { true }
    var isOpen: Bool { false }
    /// An error has been seen, after which an end does not say that all has come.
    var hasFailed: Bool { false }
    func begin() {}
    func send(_ bytes: Bytes) {}
    func shutdown() {}
    func abort() {}
    func pauseReading() {}
    func resumeReading() {}
    func nextStep(_ step: @escaping () -> Void) {}
    func leave() {}
    func checkOver() {}

    final func fail(_ text: String) { play.fail("client \(number): \(text)") }
    final var isWhole: Bool { heard == sent && sawEnd }

    final var standstill: String? {
        guard isOpen, !hasFailed, isReading, !hasVanished, heard < sent else { return nil }
        return "waits for \(sent - heard) bytes"
    }

    final func hear(_ bytes: Bytes) {
        if sawEnd { fail("heard something after the end") }
        for byte in bytes {
            guard heard < sent else { return fail("heard more than it said") }
            guard byte == Stream.byte(number, 0, heard) else { return fail("byte \(heard) is wrong") }
            heard += 1
        }
        play.checkMemory()
    }

    final func step() {
        guard isOpen, !play.isFinishing, !hasVanished, !isPolite else { return }
        if play.chance(0.15) { pause() }
        guard budget > 0 else { return end() }
        budget -= 1
        say()
        nextStep { [self] in step() }
    }

    private func say() {
        let length = play.number(1...play.pick([10, 300, 300, 9_000]))
        let bytes = (sent..<sent + length).map { Stream.byte(number, 0, $0) }
        sent += length
        send(Bytes(bytes))
    }

    private func pause() {
        guard isReading else { return }
        isReading = false
        pauseReading()
        nextStep { [self] in resume() }
    }

    private func resume() {
        guard !isReading, !hasVanished else { return }
        isReading = true
        resumeReading()
    }

    private func end() {
        switch play.number(0...9) {
        case 0:
            hasVanished = true
            pauseReading()
        case 1:
            hasVanished = true
            abort()
        default:
            isPolite = true
            shutdown()
        }
    }

    final func finish() {
        guard isOpen else { return }
        if hasVanished { return abort() }
        if !isPolite {
            isPolite = true
            shutdown()
        }
        resume()
    }
}

final class ScriptedEchoClient: EchoClient {
    private var peer: (any FarEnd)?

    override var isOver: Bool { !isOpen }
    override var isOpen: Bool { peer.map { $0.isOpen && !$0.sawEnd } ?? false }
    override var hasFailed: Bool { peer?.hasFailedToSend ?? false }

    override func begin() {
        guard let peer = try? play.world.connect(to: play.address) else { return fail("cannot connect") }
        self.peer = peer
        peer.onReceive = { [unowned self] in hear($0) }
        peer.onEnd = { [unowned self] in sawEnd = self.peer?.sawEnd ?? false }
        step()
    }

    override func send(_ bytes: Bytes) { peer?.send(bytes) }
    override func shutdown() { peer?.shutdown() }
    override func abort() { play.chance(0.5) ? peer?.reset() : peer?.close() }
    override func pauseReading() { peer?.pauseReading() }
    override func resumeReading() { peer?.resumeReading() }
    override func nextStep(_ step: @escaping () -> Void) { play.farLater(step) }
    /// Somebody who reads nothing would keep the memory of zero-copy sends.
    override func leave() { peer?.close() }
}

/// A client of the library's, in either style.
final class LibraryEchoClient: EchoClient {
    private var connection: Connection?
    private var reason: CloseReason?
    private var callbacksDue = 0
    private lazy var isStateMachine = play.chance(0.5)
    private var receivesAreDue = false

    private struct Handler: ConnectionHandler {
        let client: LibraryEchoClient

        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            switch event {
            case .opened: client.step()
            case .received(let bytes):
                if !client.isReading { client.fail("received while it paused") }
                client.hear(bytes)
            case .ended:
                client.ended()
                return .close
            case .timedOut: return .abort
            case .drained: break
            case .closed(let reason): client.closed(reason)
            }
            return .continue
        }
    }

    override var isOver: Bool { reason != nil }
    override var isOpen: Bool { connection?.isOpen ?? false }
    override var hasFailed: Bool { reason.map { ![.closed, .bothEnded].contains($0) } ?? false }

    override func begin() {
        let options = play.clientOptions()
        if isStateMachine {
            connection = play.reactor.connect(to: play.address, options: options, handler: Handler(client: self))
        } else {
            connection = play.reactor.connect(to: play.address, options: options) { [self] result in
                switch result {
                case .failure: closed(.reset)
                case .success(let connection):
                    connection.whenClosed { [self] in closed($0) }
                    receive()
                    step()
                }
            }
        }
    }

    private func receive() {
        guard isReading else { return receivesAreDue = true }
        connection?.receive(upTo: play.number(1...4_000)) { [self] result in
            switch result {
            case .success(let bytes?):
                hear(bytes)
                receive()
            case .success(nil):
                ended()
                connection?.close()
            case .failure: break
            }
        }
    }

    private func ended() {
        if sawEnd { fail("heard the end twice") }
        sawEnd = true
    }

    private func closed(_ reason: CloseReason) {
        if self.reason != nil { fail("closed twice") }
        self.reason = reason
        if reason == .bothEnded { sawEnd = true }
    }

    override func send(_ bytes: Bytes) {
        guard play.chance(0.5), !isStateMachine else {
            connection?.send(bytes)
            return
        }
        callbacksDue += 1
        var isCalled = false
        connection?.send(bytes) { [self] result in
            if isCalled { fail("the callback of a send was called twice") }
            isCalled = true
            callbacksDue -= 1
            if case .success(let count) = result, count != bytes.count { fail("\(count) of \(bytes.count) bytes were sent") }
        }
    }

    override func shutdown() { connection?.shutdownSending() }
    override func abort() { connection?.abort() }
    override func pauseReading() { if isStateMachine { connection?.pauseReading() } }

    override func resumeReading() {
        if isStateMachine { return connection?.resumeReading() ?? () }
        guard receivesAreDue else { return }
        receivesAreDue = false
        receive()
    }

    override func nextStep(_ step: @escaping () -> Void) { play.later(step) }

    override func checkOver() {
        if callbacksDue != 0 { fail("\(callbacksDue) callbacks of sends were not called") }
        if connection != nil, reason == nil { fail("was not told of its end") }
    }
}
