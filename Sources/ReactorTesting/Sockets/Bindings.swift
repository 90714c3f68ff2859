import Glibc
import SystemPackage
import UringReactor

/// Which socket has which address.
struct Bindings {
    /// TCP sockets by port, in the order in which they were bound.
    var ports: [UInt16: [Socket]] = [:]
    /// Unix sockets by path, for as long as the socket lives; the path itself is in the file system.
    var paths: [String: Socket] = [:]
    var listeners: [SocketAddress: SimulatedListener] = [:]
    /// Addresses that answer nothing.
    var silent: Set<SocketAddress> = []
    /// /proc/sys/net/ipv4/ip_local_port_range begins there.
    var nextEphemeral: UInt16 = 32_768
    var connections = 0
}

extension SimulatedKernel {
    /// Where a connect ends up.
    enum Route {
        case listener(Socket)
        case failure(Int32)
        case silence
    }

    func route(to address: SocketAddress) -> Route {
        if bindings.silent.contains(address) { return .silence }
        if let scripted = bindings.listeners[address] { return .listener(scripted.socket) }
        if let path = address.path {
            guard fileSystem.exists(path) else { return .failure(ENOENT) }
            guard let socket = bindings.paths[path], socket.isListening else { return .failure(ECONNREFUSED) }
            return .listener(socket)
        }
        guard let port = address.port else { return .failure(EADDRNOTAVAIL) }
        let listening = (bindings.ports[port] ?? []).filter { $0.isListening }
        let exact = listening.filter { $0.localAddress == address || SimulatedKernel.isSame($0.localAddress, address) }
        let fitting = exact.isEmpty ? listening.filter { SimulatedKernel.accepts($0, address) } : exact
        guard !fitting.isEmpty else { return .failure(ECONNREFUSED) }
        // SO_REUSEPORT: Linux spreads by a hash of the addresses, this by turns.
        bindings.connections += 1
        return .listener(fitting[bindings.connections % fitting.count])
    }

    private static func isSame(_ bound: SocketAddress?, _ address: SocketAddress) -> Bool {
        guard let bound, isAny(address), bound.family == address.family else { return false }
        // A connect to 0.0.0.0 goes to 127.0.0.1, one to :: to ::1.
        return bound.host == (address.family == .ipv4 ? "127.0.0.1" : "::1")
    }

    private static func isAny(_ address: SocketAddress) -> Bool {
        let bare = address.with(port: 0)
        return bare == .any() || bare == .anyV6()
    }

    private static func accepts(_ listener: Socket, _ address: SocketAddress) -> Bool {
        guard let bound = listener.localAddress, isAny(bound) else { return false }
        if bound.family == address.family { return true }
        return bound.family == .ipv6 && listener.options[.ipv6Only] ?? 0 == 0
    }

    /// The address of the accepting side of a connection that `remote` makes to `listener`.
    func facing(_ remote: SocketAddress, of listener: Socket) -> SocketAddress {
        guard let bound = listener.localAddress else { return remote }
        guard SimulatedKernel.isAny(bound), let port = bound.port, let host = remote.host else { return bound }
        let mapped = bound.family == .ipv6 && remote.family == .ipv4 ? "::ffff:\(host)" : host
        return (try? SocketAddress(host: mapped, port: port)) ?? bound
    }

    // MARK: - bind(2)

    func bindSocket(_ socket: Socket, to address: SocketAddress) throws(Errno) {
        guard socket.localAddress == nil else { throw .invalidArgument }
        guard address.family == socket.family else {
            throw socket.family == .unix ? .invalidArgument : .addressFamilyNotSupported
        }
        if let path = address.path {
            guard !fileSystem.exists(path) else { throw .addressInUse }
            fileSystem.makeSocket(path)
            bindings.paths[path] = socket
            socket.localAddress = address
            return
        }
        guard isLocal(address) else { throw .addressNotAvailable }
        var address = address
        if address.port == 0 { address = address.with(port: try ephemeralPort()) }
        guard let port = address.port else { throw .invalidArgument }
        for other in bindings.ports[port] ?? [] where conflict(socket, address, other) { throw .addressInUse }
        bindings.ports[port, default: []].append(socket)
        socket.localAddress = address
    }

    private func isLocal(_ address: SocketAddress) -> Bool {
        guard let host = address.host else { return false }
        return SimulatedKernel.isAny(address) || host == "::1" || host.hasPrefix("127.")
    }

    private func conflict(_ socket: Socket, _ address: SocketAddress, _ other: Socket) -> Bool {
        guard let taken = other.localAddress else { return false }
        let overlap = taken == address || (taken.family == address.family
            ? SimulatedKernel.isAny(taken) || SimulatedKernel.isAny(address)
            : SimulatedKernel.isAny(taken.family == .ipv6 ? taken : address)
                && (taken.family == .ipv6 ? other : socket).options[.ipv6Only] ?? 0 == 0)
        guard overlap else { return false }
        func both(_ option: SocketOption) -> Bool { socket.options[option] ?? 0 != 0 && other.options[option] ?? 0 != 0 }
        if both(.reusePort) { return false }
        return !(both(.reuseAddress) && !other.isListening)
    }

    private func ephemeralPort() throws(Errno) -> UInt16 {
        for _ in 32_768...60_999 {
            let port = bindings.nextEphemeral
            bindings.nextEphemeral = port == 60_999 ? 32_768 : port + 1
            if bindings.ports[port] == nil { return port }
        }
        throw .addressInUse
    }

    /// The local address of a socket that connects: chosen now, if it has none.
    func bindForConnect(_ socket: Socket, to remote: SocketAddress) throws(Errno) -> SocketAddress {
        if let local = socket.localAddress, !SimulatedKernel.isAny(local) { return local }
        switch remote.family {
        // The connecting end of a Unix connection has no name.
        case .unix: return AddressCoding.unnamed
        case .ipv4, .ipv6:
            let port: UInt16
            if let bound = socket.localAddress?.port {
                port = bound
            } else {
                port = try ephemeralPort()
                bindings.ports[port] = [socket]
            }
            let source = isLocal(remote) && !SimulatedKernel.isAny(remote)
                ? remote : remote.family == .ipv4 ? SocketAddress.loopback() : .loopbackV6()
            let local = source.with(port: port)
            socket.localAddress = local
            return local
        }
    }

    /// An ephemeral port for a peer, which has no socket.
    func peerAddress(facing remote: SocketAddress) throws(Errno) -> SocketAddress {
        switch remote.family {
        case .unix: AddressCoding.unnamed
        case .ipv4: SocketAddress.loopback(port: try ephemeralPort())
        case .ipv6: SocketAddress.loopbackV6(port: try ephemeralPort())
        }
    }

    func unbind(_ socket: Socket) {
        if let path = socket.localAddress?.path, bindings.paths[path] === socket { bindings.paths[path] = nil }
        guard let port = socket.localAddress?.port, var sockets = bindings.ports[port] else { return }
        sockets.removeAll { $0 === socket }
        bindings.ports[port] = sockets.isEmpty ? nil : sockets
    }
}
