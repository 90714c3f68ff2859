import SystemPackage
import UringReactor

/// A bare socket that is connected: it says a stream and hears one, one operation of a kind at a time.
final class Wire {
    let number: Int
    private unowned let play: OperationsWorkload
    private let socket: FileDescriptor
    private(set) var isOpen = true
    private var isLetGo = false
    private var said = 0
    private var heard = 0
    /// A send has failed: how much of it went out nobody knows.
    private var isBroken = false
    private var budget: Int
    private var isReceiving = false

    init(_ play: OperationsWorkload, _ number: Int, _ socket: FileDescriptor) {
        (self.play, self.number, self.socket) = (play, number, socket)
        budget = play.number(0...8)
    }

    private var reactor: Reactor { play.reactor }

    func begin() {
        guard isOpen, !reactor.isStopping else { return }
        receive()
        send()
    }

    private func receive() {
        guard isOpen, !isReceiving, !reactor.isStopping else { return }
        isReceiving = true
        let timeout = play.timeout()
        let most = play.pick([1, 50, 5_000, 100_000])
        play.start("receive", on: number, isTimed: timeout != nil) { ticket in
            reactor.receive(from: socket, upTo: most, timeout: timeout) { [self] result in
                isReceiving = false
                ticket.called(result)
                switch result {
                case .success(let bytes):
                    if bytes.count > most { play.fail("\(ticket.name) brought \(bytes.count) bytes") }
                    guard !bytes.isEmpty else { return close() }
                    hear(bytes)
                    receive()
                case .failure(let error):
                    // Nothing is lost by a receive that ended without bytes.
                    if error.isTimeout || error.isCancelled { receive() } else { close() }
                }
            }
        }
    }

    private func hear(_ bytes: Bytes) {
        for byte in bytes {
            guard byte == Stream.byte(7, 0, heard) else { return play.fail("wire \(number): byte \(heard) is wrong") }
            heard += 1
        }
    }

    private func send() {
        guard isOpen, !isBroken, budget > 0, !play.isFinishing, !reactor.isStopping else { return }
        budget -= 1
        if play.chance(0.2) { poll() }
        let length = play.number(0...play.pick([10, 400, 12_000]))
        let bytes = (said..<said + length).map { Stream.byte(7, 0, $0) }
        let pieces = play.cut(bytes)
        let isWhole = play.chance(0.5)
        let timeout = play.timeout()
        play.start("send", on: number, isTimed: timeout != nil) { ticket in
            let sent = { [self] (result: Result<Int, IOError>) in
                ticket.called(result)
                switch result {
                case .success(let count):
                    if count != length { play.fail("\(ticket.name) sent \(count) of \(length) bytes") }
                    said += length
                case .failure: isBroken = true
                }
                guard !reactor.isStopping else { return }
                play.later { [self] in send() }
            }
            return isWhole
                ? reactor.send(Bytes(bytes), to: socket, timeout: timeout, sent)
                : reactor.send(pieces, to: socket, timeout: timeout, sent)
        }
    }

    private func poll() {
        let isMultishot = play.chance(0.4)
        let timeout = isMultishot ? nil : play.timeout()
        let events: PollEvents = play.chance(0.5) ? .readable : .writable
        play.start("poll", on: number, isTimed: timeout != nil, isMultishot: isMultishot) { ticket in
            let polled = { [self] (result: Result<PollEvents, IOError>) in
                ticket.called(result)
                if case .success(let found) = result, found.isDisjoint(with: [events, .error, .hungUp, .peerEnded]) {
                    play.fail("\(ticket.name) found \(found)")
                }
            }
            return isMultishot
                ? reactor.pollMultishot(socket, for: events, polled)
                : reactor.poll(socket, for: events, timeout: timeout, polled)
        }
    }

    func close() {
        guard isOpen, !reactor.isStopping else { return }
        isOpen = false
        play.close(socket, number) { [self] in isLetGo = true }
    }

    /// The reactor has ended.
    func letGo() {
        if !isLetGo { play.calls.close(socket) }
        isLetGo = true
    }
}

/// The other end of a wire: says a stream, and checks the one it hears.
final class FarScript {
    private unowned let play: OperationsWorkload
    private let far: any FarEnd
    private var said = 0
    private var heard = 0
    private var budget: Int

    init(_ play: OperationsWorkload, _ far: any FarEnd) {
        (self.play, self.far) = (play, far)
        budget = play.number(0...8)
        // They keep each other until the run ends.
        far.onReceive = { [self] in hear($0) }
        if play.chance(0.2) { far.pauseReading() }
        step()
    }

    private func hear(_ bytes: Bytes) {
        for byte in bytes {
            guard byte == Stream.byte(7, 0, heard) else { return play.fail("a far end: byte \(heard) is wrong") }
            heard += 1
        }
    }

    private func step() {
        guard far.isOpen, !play.isFinishing else { return }
        switch play.number(0...12) {
        case 0: far.pauseReading()
        case 1...3: far.resumeReading()
        default: break
        }
        guard budget > 0 else {
            switch play.number(0...4) {
            case 0: far.shutdown()
            case 1: far.close()
            case 2: far.reset()
            default: break
            }
            return
        }
        budget -= 1
        let length = play.number(0...play.pick([10, 400, 9_000]))
        far.send(Bytes((said..<said + length).map { Stream.byte(7, 0, $0) }))
        said += length
        play.farLater { [self] in step() }
    }
}
