public import UringReactor

/// A listener that the test scripts: what the library connects to.
public final class SimulatedListener: Pumped {
    public let address: SocketAddress
    /// Called with each connection, which is then not left for ``accept()``.
    public var onAccept: ((SimulatedPeer) -> Void)?

    let socket: Socket
    private unowned let kernel: SimulatedKernel

    init(kernel: SimulatedKernel, address: SocketAddress, backlog: Int) {
        self.kernel = kernel
        self.address = address
        socket = Socket(address.family, kernel: kernel)
        socket.retain()
        socket.localAddress = address
        socket.listen(backlog: backlog)
        socket.onAccepting = { [unowned self] in self.kernel.needsPump(self) }
    }

    /// The next connection of the library, or nil if none waits.
    public func accept() -> SimulatedPeer? {
        guard let accepted = socket.takeAccepting() else { return nil }
        let peer = kernel.makePeer(local: accepted.local, remote: accepted.remote)
        peer.open(accepted.endpoint)
        kernel.pumpPeers()
        return peer
    }

    /// Listens no more: those that wait are reset, who comes is refused.
    public func close() {
        socket.onAccepting = nil
        if kernel.bindings.listeners[address] === self { kernel.bindings.listeners[address] = nil }
        if socket.isListening { socket.stopListening() }
        kernel.pumpPeers()
    }

    func pump() {
        while let onAccept, let peer = accept() { onAccept(peer) }
    }
}
