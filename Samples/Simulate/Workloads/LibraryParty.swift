import UringReactor

/// An end that is the library's: a connection, in one of its two styles, and what is done with it at random.
class LibraryParty: Party {
    final let options: ConnectionOptions
    final private(set) var connection: Connection?
    final var hasEnded = false
    final var reason: CloseReason?
    /// It asked for its end: nothing may come any more.
    final var isClosing = false
    final private(set) var isPaused = false
    private var isBacklogged = false
    /// Said that it sends no more.
    private var hasShutDown = false
    private var budget: Int
    private var isActing = false
    /// Sends whose callbacks are still to come.
    private var callbacksDue: Set<Int> = []
    private var largest = 0

    init(_ workload: Workload, _ name: String, options: ConnectionOptions) {
        self.options = options
        budget = workload.number(0...14)
        super.init(workload, name)
        isEchoing = false
    }

    override var hasFailed: Bool { !endedPolitely }

    override var dropsLater: Bool {
        switch options.slowConsumer {
        case .dropOldest: true
        case .dropNewest, .disconnect: false
        }
    }

    override var description: String {
        "\(super.description), ended as \(reason.map { "\($0)" } ?? "not at all"), \(options)"
    }
    /// Whether its style tells when there is room again.
    var hearsOfRoom: Bool { true }
    /// Whether it can be given more: what the far end sends must then arrive.
    var wantsMore: Bool { !isPaused && isLive }
    final var isLive: Bool { connection != nil && reason == nil && !isClosing && !hasEnded }

    // MARK: - What happens to it

    final func opened(_ connection: Connection) {
        if self.connection != nil { fail("opened twice") }
        self.connection = connection
        if let local = connection.localAddress, let remote = connection.remoteAddress,
            local.path == nil, remote.path == nil {
            workload.link(self, local: local, remote: remote)
        }
    }

    final func ended() {
        if isClosing { fail("was told of the end after it had asked for its own") }
        if hasEnded { fail("heard the end twice") }
        hasEnded = true
        sawEnd = true
    }

    final func closed(_ reason: CloseReason) {
        if let first = self.reason { fail("closed twice: \(first), then \(reason)") }
        self.reason = reason
        endedPolitely = [.closed, .bothEnded].contains(reason)
        release()
    }

    final func received(_ bytes: Bytes) {
        if reason != nil { fail("received after the end") }
        if isClosing { fail("received after it had asked for the end") }
        if hasEnded { fail("received after the far end had ended") }
        heard(bytes)
    }

    final func drained() {
        guard let connection else { return fail("drained before it was open") }
        if !isBacklogged { fail("drained though it was not behind") }
        if connection.pendingBytes > options.lowWatermark { fail("drained with \(connection.pendingBytes) bytes waiting") }
        isBacklogged = false
    }

    // MARK: - What it does

    /// Something at random, from within any event or from a timer.
    final func act() {
        guard let connection, reason == nil, !isActing, !workload.isFinishing else { return }
        isActing = true
        defer { isActing = false }
        if workload.chance(0.1) { workload.chance(0.5) ? pause() : resume() }
        if workload.chance(0.01) { connection.setDeadline(after: .microseconds(workload.delay())) }
        if workload.chance(0.003) { return abort() }
        if workload.chance(0.003) { return close() }
        if workload.chance(0.0008) { workload.stop() }
        // Most wait until there is room again, and some do not.
        if budget > 0, !isEchoing, !isBacklogged || workload.chance(0.2) {
            for _ in 0..<workload.number(1...3) where budget > 0 {
                budget -= 1
                say()
            }
        }
        if budget > 0, !isEchoing {
            if !isBacklogged || workload.chance(0.3) { actLater() }
        } else {
            mayEnd()
        }
    }

    final func actLater() {
        workload.wait(.microseconds(workload.delay())) { [weak self] in self?.act() }
    }

    private func mayEnd() {
        guard let connection, !isClosing else { return }
        if isEchoing {
            if hasEnded { close() }
        } else if hasEnded || workload.chance(0.2) {
            close()
        } else if workload.chance(0.3), !hasShutDown {
            hasShutDown = true
            connection.shutdownSending()
        }
    }

    final func close() {
        isClosing = true
        connection?.close()
    }

    /// What is left of it ends.
    final func breakOff() {
        if let connection, reason == nil, connection.isOpen { abort() }
    }

    private func abort() {
        isClosing = true
        connection?.abort()
    }

    func pause() {
        guard !isPaused else { return }
        isPaused = true
        connection?.pauseReading()
        workload.wait(.microseconds(workload.delay() * 4)) { [weak self] in self?.resume() }
    }

    func resume() {
        guard isPaused, reason == nil else { return }
        isPaused = false
        connection?.resumeReading()
    }

    final func echo(_ bytes: Bytes) {
        guard let connection else { return }
        note(connection.send(bytes), bytes.count)
    }

    private func say() {
        guard let connection, !hasShutDown, !isClosing else { return }
        let (number, bytes) = nextMessage()
        if workload.chance(0.3) {
            outgoing.accept(number)
            callbacksDue.insert(number)
            largest = max(largest, bytes.count)
            // What is refused is called back in the next turn, when the connection may have been said to be over.
            let wasOpen = connection.isOpen
            let mayReenter = workload.chance(0.5)
            connection.send(Bytes(bytes)) { [self] result in
                if callbacksDue.remove(number) == nil { fail("the callback of message \(number) was called twice") }
                var wasTaken = wasOpen
                switch result {
                case .success(let count): if count != bytes.count { fail("\(count) of \(bytes.count) bytes were sent") }
                case .failure(let error):
                    outgoing.fail(number)
                    if error.errno == .noBufferSpace { wasTaken = false }
                }
                if reason != nil, wasTaken { fail("the callback of message \(number) was called after the end") }
                if mayReenter { act() }
            }
            // Such a send does not say what became of it.
            return note(connection.pendingBytes > options.highWatermark ? .backlogged : .queued, 0)
        }
        let outcome = workload.chance(0.5) ? connection.send(Bytes(bytes)) : connection.send(workload.cut(bytes))
        if outcome == .queued || outcome == .backlogged { outgoing.accept(number) }
        note(outcome, bytes.count)
    }

    private func note(_ outcome: SendOutcome, _ count: Int) {
        guard let connection else { return }
        largest = max(largest, count)
        if outcome == .backlogged, hearsOfRoom { isBacklogged = true }
        let most = max(options.maximumPendingBytes, 0) + largest
        if connection.pendingBytes > most { fail("\(connection.pendingBytes) bytes wait, more than \(most)") }
    }

    // MARK: - The end of the run

    override func finish() {
        release()
        guard connection != nil, reason == nil else { return }
        resume()
        if hasEnded || workload.chance(0.5) {
            close()
        } else {
            connection?.shutdownSending()
        }
    }

    override func standstill(far: Party?) -> String? {
        guard let connection, reason == nil else { return nil }
        let readsNow = (far as? ScriptedParty)?.readsNow ?? (far as? LibraryParty)?.wantsMore ?? false
        let pending = connection.pendingBytes
        if readsNow, pending > 0 { return "has \(pending) bytes that wait, though \(far?.name ?? "") reads" }
        if isBacklogged, connection.isOpen, !hasShutDown, !hasEnded, pending <= options.lowWatermark {
            return "was not told that it has drained"
        }
        return nil
    }

    final func checkOver() {
        if !callbacksDue.isEmpty { fail("\(callbacksDue.count) callbacks were never called") }
        if connection != nil, reason == nil { fail("was not told of its end") }
        if waitsForAnswer { fail("a receive was never called back") }
    }
    /// A callback of a receive is due.
    var waitsForAnswer: Bool { false }
}
