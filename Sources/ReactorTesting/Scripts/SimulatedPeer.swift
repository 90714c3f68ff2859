public import SystemPackage
public import UringReactor

/// The far end of a connection, driven by the test instead of the library: a scripted client or server.
///
/// It reads at once whatever arrives, unless ``pauseReading()`` lets the library's sends run into a full buffer. Like its
/// kernel, it is used from one thread.
public final class SimulatedPeer: EndpointOwner, Pumped {
    /// How the connection is, from here.
    public enum State: Sendable, Equatable {
        /// Waits for a place in the listener's backlog.
        case connecting
        case open
        /// The connect failed, or the connection was reset by the library's side or by a fault.
        case failed(Errno)
        /// ``close()`` or ``reset()`` was called here.
        case closed
    }

    public private(set) var state = State.connecting
    /// Where the library's end is.
    public private(set) var remoteAddress: SocketAddress
    public let localAddress: SocketAddress
    /// Whether the library has ended its side: everything it sent has been received.
    public private(set) var sawEnd = false
    /// Whether nothing more will come: the library has ended its side, or the connection has failed or was never made.
    public var hasEnded: Bool {
        switch state {
        case .connecting: false
        case .open: sawEnd
        case .failed, .closed: true
        }
    }
    /// Why something that it sent cannot arrive any more. Whoever has heard of a failure when sending may then see an end
    /// when receiving, although bytes were lost: tcp(7) reports an error once.
    public private(set) var sendFailure: Errno?
    /// Called with the bytes that arrived, for a script that answers. They are in ``received`` as well.
    public var onReceive: ((SimulatedPeer, Bytes) -> Void)?
    /// Called when the library has ended its side, or the connection has failed.
    public var onEnd: ((SimulatedPeer) -> Void)?

    private unowned let kernel: SimulatedKernel
    private var endpoint: Endpoint?
    private weak var listener: Socket?
    private var buffer: [UInt8] = []
    private var outgoing = ByteStream(capacity: .max)
    private var isReading = true
    private var endsWhenSent = false
    let number: Int

    init(kernel: SimulatedKernel, number: Int, local: SocketAddress, remote: SocketAddress) {
        self.kernel = kernel
        self.number = number
        localAddress = local
        remoteAddress = remote
    }

    // MARK: - What a script sees

    /// All that the library has sent so far and the peer has read, less what was taken.
    public var received: Bytes { Bytes(buffer) }
    /// How many bytes of ``send(_:)`` found no room in the connection yet.
    public var unsent: Int { outgoing.count }
    /// How many bytes the library has sent that the peer has not read.
    public var unread: Int { endpoint?.incoming.count ?? 0 }

    /// ``received``, which is empty afterwards.
    public func takeReceived() -> Bytes {
        defer { buffer = [] }
        return Bytes(buffer)
    }

    // MARK: - What a script does

    /// Sends all of `bytes`, as the library makes room by receiving.
    public func send(_ bytes: Bytes) {
        note("sends \(bytes.count)")
        outgoing.append(bytes)
        kernel.pump(self)
    }

    /// Ends this side after what was sent: the library sees the end. What it sends still arrives.
    public func shutdown() {
        note("shuts down")
        endsWhenSent = true
        kernel.pump(self)
    }

    /// Lets go of the connection: an end for the library, or a reset if there are bytes that this peer has not read, or
    /// when the library sends again.
    public func close() {
        guard state != .closed else { return }
        note("closes")
        if outgoing.count > 0 { flush() }
        leave()
        endpoint?.release()
        kernel.pumpPeers()
    }

    /// Breaks the connection: the library sees `ECONNRESET`.
    public func reset() {
        guard state != .closed else { return }
        note("resets")
        leave()
        endpoint?.abort()
        kernel.pumpPeers()
    }

    /// Lets what the library sends pile up, until its sends wait.
    public func pauseReading() {
        isReading = false
    }

    /// Reads what has piled up, and again at once whatever comes.
    public func resumeReading() {
        isReading = true
        kernel.pump(self)
    }

    /// Reads at most so many bytes, while reading is paused.
    public func read(upTo count: Int) {
        receive(upTo: count)
        kernel.pumpPeers()
    }

    /// The kernel is going: nothing happens to the peer any more.
    func forget() {
        endpoint?.sever()
        endScript()
    }

    /// Nothing calls back any more.
    func endScript() {
        onReceive = nil
        onEnd = nil
    }

    private func leave() {
        state = .closed
        outgoing.truncate(to: 0)
        listener?.stopKnocking(self)
        kernel.peers.removeAll { $0 === self }
    }

    // MARK: - The connection

    func knock(at listener: Socket) {
        self.listener = listener
        listener.knock(self)
    }

    func open(_ endpoint: Endpoint) {
        self.endpoint = endpoint
        endpoint.owner = self
        state = .open
        note("connected")
        kernel.needsPump(self)
    }

    func endpointChanged(_ changes: Readiness) {
        kernel.needsPump(self)
    }

    /// Moves what can move, and tells the script.
    func pump() {
        guard state == .open, let endpoint else { return }
        flush()
        if isReading { receive(upTo: .max) }
        guard state == .open, endpoint.incoming.count == 0 else { return }
        switch endpoint.pollReceive() {
        case .bytes, .nothing: break
        case .end:
            guard !sawEnd else { return }
            sawEnd = true
            note("sees the end")
            onEnd?(self)
        case .failure(let errno): fail(errno)
        }
    }

    private func flush() {
        guard let endpoint else { return }
        while outgoing.count > 0 {
            switch endpoint.pollSend() {
            case .room(let room):
                let length = min(room, outgoing.count)
                endpoint.send(outgoing.peek(length))
                outgoing.removeFirst(length)
            case .full: return
            case .failure(let errno):
                // Nobody will read it. Whether that is an error shows when the script reads.
                sendFailure = Errno(rawValue: errno)
                outgoing.truncate(to: 0)
            }
        }
        if endsWhenSent {
            endsWhenSent = false
            _ = endpoint.shutdown(receiving: false, sending: true)
        }
    }

    private func receive(upTo limit: Int) {
        guard let endpoint, endpoint.incoming.count > 0 else { return }
        let bytes = endpoint.incoming.peek(limit)
        endpoint.consume(bytes.count)
        buffer.append(contentsOf: bytes)
        note("receives \(bytes.count)")
        onReceive?(self, Bytes(bytes))
    }

    private func fail(_ errno: Int32) {
        guard state == .open || state == .connecting else { return }
        state = .failed(Errno(rawValue: errno))
        note("fails with \(SimulatedKernel.describe(-errno))")
        endpoint?.release()
        kernel.peers.removeAll { $0 === self }
        onEnd?(self)
    }

    private func note(_ text: String) {
        kernel.record(.peer("\(number) \(text)"))
    }
}

extension SimulatedPeer: CustomStringConvertible {
    /// How it is, and the end of what it has received.
    public var description: String {
        let shown = String(decoding: buffer.suffix(48), as: UTF8.self).debugDescription
        let end = sawEnd ? ", has seen the end" : ""
        return "peer \(number): \(state)\(end), \(unsent) unsent, \(unread) unread, \(buffer.count) received"
            + (buffer.isEmpty ? "" : ": \(buffer.count > 48 ? "…" : "")\(shown)")
    }
}

extension SimulatedPeer: Connector {
    var capacities: Endpoint.Capacities {
        Endpoint.Capacities(send: kernel.configuration.sendBuffer, receive: kernel.configuration.receiveBuffer)
    }

    func connected(_ endpoint: Endpoint, to address: SocketAddress) {
        open(endpoint)
    }

    func refused(_ errno: Int32) {
        fail(errno)
    }
}

/// What a test scripts, and what reacts to the library.
protocol Pumped: AnyObject {
    func pump()
}

extension SimulatedKernel {
    /// Connects a scripted client to a socket on which the library listens.
    ///
    /// - Throws: `ECONNREFUSED` if nobody listens there. With a full backlog the peer waits, in the state
    ///   ``SimulatedPeer/State/connecting``.
    public func connect(to address: SocketAddress) throws(Errno) -> SimulatedPeer {
        switch route(to: address) {
        case .failure(let errno): throw Errno(rawValue: errno)
        case .silence: throw .timedOut
        case .listener(let listener):
            let peer = makePeer(local: try peerAddress(facing: address), remote: address)
            peer.knock(at: listener)
            pumpPeers()
            return peer
        }
    }

    /// Listens at an address, any at all, for connects of the library. It comes before the library's own listeners.
    public func listen(on address: SocketAddress, backlog: Int = 128) -> SimulatedListener {
        precondition(bindings.listeners[address] == nil, "a scripted listener is at \(address) already")
        let listener = SimulatedListener(kernel: self, address: address, backlog: backlog)
        bindings.listeners[address] = listener
        if let path = address.path, !fileSystem.exists(path) { fileSystem.makeSocket(path) }
        return listener
    }

    /// Lets whatever is sent to an address vanish: a connect of the library ends with `ETIMEDOUT` after 127 seconds.
    public func silence(_ address: SocketAddress) {
        bindings.silent.insert(address)
    }

    func makePeer(local: SocketAddress, remote: SocketAddress) -> SimulatedPeer {
        peerCount += 1
        let peer = SimulatedPeer(kernel: self, number: peerCount, local: local, remote: remote)
        peers.append(peer)
        return peer
    }

    func needsPump(_ pumped: any Pumped) {
        if !toPump.contains(where: { $0 === pumped }) { toPump.append(pumped) }
    }

    func pump(_ pumped: any Pumped) {
        needsPump(pumped)
        pumpPeers()
    }

    /// Lets peers react, and to what comes of that, until all is quiet. Not from within a reaction: a script that acts is
    /// in the middle of this already.
    func pumpPeers() {
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        while !toPump.isEmpty {
            let next = toPump.removeFirst()
            next.pump()
        }
        showDeferredWork()
    }
}
