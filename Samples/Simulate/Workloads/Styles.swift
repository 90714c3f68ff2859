import SystemPackage
import UringReactor

/// What a handler of the workload throws now and then.
struct Whim: Error {}

/// The state machine style.
struct PartyHandler: ConnectionHandler {
    let party: LibraryParty

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        let workload = party.workload
        if party.reason != nil { party.fail("heard \(event) after the end") }
        if party.connection == nil {
            switch event {
            case .opened, .closed: break
            default: party.fail("heard \(event) first")
            }
        }
        switch event {
        case .opened: party.opened(connection)
        case .received(let bytes):
            if party.isPaused { party.fail("received while it paused") }
            party.received(bytes)
            if party.isEchoing { party.echo(bytes) }
        case .ended: party.ended()
        case .drained: party.drained()
        case .timedOut: if workload.chance(0.4) || workload.isFinishing { return close() }
        case .closed(let reason):
            party.closed(reason)
            return .continue
        }
        party.act()
        guard !party.isClosing else { return .continue }
        if workload.chance(0.002) { throw give(Whim()) }
        if workload.chance(0.002) { return close() }
        if workload.isFinishing, party.hasEnded { return close() }
        return .continue
    }

    private func give(_ whim: Whim) -> Whim {
        party.isClosing = true
        return whim
    }

    private func close() -> NextStep {
        party.isClosing = true
        return .close
    }
}

/// The callback style.
final class CallbackParty: LibraryParty {
    private var isAsking = false
    private var mustTakeRest = false

    override var wantsMore: Bool { isAsking && super.wantsMore }
    override var waitsForAnswer: Bool { isAsking }

    func begin(_ connection: Connection) {
        opened(connection)
        connection.whenClosed { [self] in closed($0) }
        ask()
        act()
    }

    override var hearsOfRoom: Bool { false }
    override func pause() {}

    private func ask() {
        guard let connection, reason == nil, !isAsking, !isClosing, !hasEnded else { return }
        isAsking = true
        let timeout: Duration? = workload.chance(0.1) ? .microseconds(workload.delay()) : nil
        var isCalled = false
        // What is asked of a connection that is no more is refused in the next turn, when it may have been said to be over.
        let wasOpen = connection.isOpen
        let answered = { [self] (result: Result<Bytes?, IOError>, ending: [UInt8]) in
            if isCalled { fail("a receive called back twice") }
            if reason != nil, wasOpen { fail("a receive called back after the end") }
            isCalled = true
            isAsking = false
            answer(result, ending)
        }
        switch mustTakeRest ? 0 : workload.number(0...3) {
        case 0: connection.receive(timeout: timeout) { answered($0, []) }
        case 1: connection.receive(upTo: workload.number(1...200), timeout: timeout) { answered($0, []) }
        case 2: connection.receive(exactly: workload.number(1...3_000), timeout: timeout) { answered($0, []) }
        default:
            let limit = workload.number(0...2_000)
            connection.receiveLine(limit: limit, timeout: timeout) { answered($0, [10]) }
        }
        mustTakeRest = false
    }

    private func answer(_ result: Result<Bytes?, IOError>, _ ending: [UInt8]) {
        switch result {
        case .success(let bytes?):
            guard !isClosing else { break }
            if ending.isEmpty {
                received(bytes)
                if isEchoing { echo(bytes) }
            } else {
                let line = Bytes(Array(bytes) + ending)
                received(line)
                if isEchoing { echo(line) }
            }
        case .success(nil): if !isClosing { ended() }
        case .failure(let error):
            mustTakeRest = [61, 90].contains(error.errno.rawValue)
            guard mustTakeRest || error.errno == .timedOut, reason == nil, connection?.isOpen == true else { return }
        }
        act()
        // Some let the far end wait for a while.
        if workload.chance(0.1), !workload.isFinishing {
            workload.wait(.microseconds(workload.delay())) { [weak self] in self?.ask() }
        } else {
            ask()
        }
    }

    override func finish() {
        super.finish()
        ask()
    }
}
