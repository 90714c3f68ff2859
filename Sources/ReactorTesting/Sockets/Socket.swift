import Glibc
import UringReactor

/// A stream socket: what socket(2) makes.
final class Socket: OpenFile, EndpointOwner {
    enum State {
        /// Neither listens nor is connected.
        case idle
        case listening
        /// A connect is under way that nobody has answered yet.
        case connecting(Operation)
        case connected(Endpoint)
    }

    let family: AddressFamily
    private(set) var state = State.idle
    var localAddress: SocketAddress?
    var remoteAddress: SocketAddress?
    var options: [SocketOption: Int] = [:]
    /// `SO_LINGER` with a time of 0.
    var resetsWhenClosed = false
    /// shutdown(2) on a TCP socket that is not connected fails, and yet shuts its receiving half: inet_shutdown().
    private(set) var receiveShut = false

    /// Connections that wait for an accept, and connects that wait for a place among them.
    private(set) var accepting: [Accepting] = []
    private(set) var knocking: [any Connector] = []
    private(set) var backlog = 0
    /// Told of each connection that waits to be accepted: for the listener of a test.
    var onAccepting: (() -> Void)?

    struct Accepting {
        let endpoint: Endpoint
        let local: SocketAddress
        let remote: SocketAddress
    }

    init(_ family: AddressFamily, kernel: SimulatedKernel) {
        self.family = family
        super.init(kernel: kernel)
    }

    convenience init(accepted: Accepting, by listener: Socket) {
        self.init(listener.family, kernel: listener.kernel)
        options = listener.options
        localAddress = accepted.local
        connect(accepted.endpoint, remote: accepted.remote)
    }

    /// The kernel is going.
    func forget() {
        endpoint?.sever()
        for waiting in accepting { waiting.endpoint.sever() }
        onAccepting = nil
    }

    var transport: Endpoint.Transport { family == .unix ? .unix : .tcp }

    var endpoint: Endpoint? {
        if case .connected(let endpoint) = state { endpoint } else { nil }
    }

    var isListening: Bool {
        if case .listening = state { true } else { false }
    }

    var capacities: Endpoint.Capacities {
        // Linux doubles what SO_SNDBUF and SO_RCVBUF ask for: socket(7).
        Endpoint.Capacities(
            send: options[.sendBuffer].map { 2 * max($0, 2304) } ?? kernel.configuration.sendBuffer,
            receive: options[.receiveBuffer].map { 2 * max($0, 1152) } ?? kernel.configuration.receiveBuffer)
    }

    // MARK: - Becoming something

    func listen(backlog: Int) {
        self.backlog = max(0, min(backlog, 4096))
        state = .listening
        admit()
    }

    func startConnecting(_ operation: Operation) {
        state = .connecting(operation)
    }

    func shutUnconnected(receiving: Bool) {
        guard transport == .tcp else { return }
        if receiving { receiveShut = true }
        wake([.readable, .hangUp])
    }

    func stopConnecting() {
        if case .connecting = state { state = .idle }
    }

    func connect(_ endpoint: Endpoint, remote: SocketAddress) {
        state = .connected(endpoint)
        remoteAddress = remote
        endpoint.owner = self
    }

    func endpointChanged(_ changes: Readiness) {
        wake(changes)
    }

    // MARK: - Listening

    /// Linux lets one more wait than the backlog says: `sk_acceptq_is_full` compares with `>`.
    var hasPlace: Bool { accepting.count <= backlog }

    func knock(_ connector: any Connector) {
        knocking.append(connector)
        admit()
    }

    func stopKnocking(_ connector: any Connector) {
        knocking.removeAll { $0 === connector }
    }

    /// Takes the next connection, if there is one.
    func takeAccepting() -> Accepting? {
        guard !accepting.isEmpty else { return nil }
        defer { admit() }
        return accepting.removeFirst()
    }

    /// Connects those that knock, as far as there is room.
    private func admit() {
        while hasPlace, !knocking.isEmpty {
            let connector = knocking.removeFirst()
            let (near, far) = Endpoint.pair(transport, connector.capacities, capacities)
            if transport == .tcp { kernel.drawBreak(of: near) }
            let local = kernel.facing(connector.localAddress, of: self)
            accepting.append(Accepting(endpoint: far, local: local, remote: connector.localAddress))
            connector.connected(near, to: local)
            wake(.readable)
            onAccepting?()
        }
    }

    /// Stops listening: who waited is reset, who knocked is refused.
    func stopListening() {
        state = .idle
        let waiting = accepting
        let refused = knocking
        accepting = []
        knocking = []
        for connection in waiting { connection.endpoint.abort() }
        for connector in refused { connector.refused(ECONNREFUSED) }
        wake([.readable, .hangUp])
    }

    override func release() {
        kernel.unbind(self)
        switch state {
        case .idle: break
        case .listening: stopListening()
        case .connecting(let operation): preconditionFailure("\(operation.submission) does not hold its socket")
        // unix(7) knows no linger.
        case .connected(let endpoint): resetsWhenClosed && transport == .tcp ? endpoint.abort() : endpoint.release()
        }
    }

    // MARK: - poll(2)

    override var readiness: Readiness {
        switch state {
        // tcp_poll: a socket in TCP_CLOSE hangs up, and is writable because a write would fail at once.
        case .idle: receiveShut ? [.hangUp, .writable, .readable, .peerHangUp] : [.hangUp, .writable]
        case .listening: accepting.isEmpty ? [] : .readable
        case .connecting: []
        case .connected(let endpoint): endpoint.readiness
        }
    }
}

/// What wants to be connected: a connect operation of the library, or a peer of a test.
protocol Connector: AnyObject {
    var localAddress: SocketAddress { get }
    var capacities: Endpoint.Capacities { get }
    func connected(_ endpoint: Endpoint, to address: SocketAddress)
    func refused(_ errno: Int32)
}
