import SystemPackage

/// Listens on an address and gives each connection a handler, or a function that goes on with callbacks.
///
/// ```swift
/// try Server(on: .loopback(port: 7000)) { _ in Echo() }.run()      // a state machine for each connection
/// ```
///
/// A server either has a reactor of its own, which ``run()`` runs, or is attached to one that also does other things.
/// It lives until it is stopped, whether somebody keeps it or not.
public final class Server {
    /// The reactor that it runs on.
    public let reactor: Reactor
    /// Where it listens, with the port that the kernel chose.
    public let address: SocketAddress
    /// As it was given; it does not change.
    public let configuration: ServerConfiguration
    /// Connections turned away because there were as many as may be.
    public private(set) var refusedConnections = 0

    /// Called once, on the reactor's thread, when the server has ended and its last connection is closed: after
    /// ``stop()``, or because the reactor was stopped.
    public var whenStopped: (() -> Void)?

    /// Tells it from the other servers of its reactor, past ones included.
    private var number: UInt64 = 0
    private let listener: FileDescriptor
    private let ownsReactor: Bool
    private let makeDriver: (Connection) throws -> ConnectionDriver
    private let group = ServerGroup()
    private let limits: ConnectionLimits
    private var acceptance = OperationToken.none
    private var isListening = true
    private var isStopping = false
    /// When accepting had to pause, and for how long the next pause is.
    private var pausedSince: UInt64?
    private var pause = Server.shortestPause
    private var retry = OperationToken.none
    private var drainDeadline = OperationToken.none

    private static let shortestPause = Duration.milliseconds(10)
    private static let longestPause = Duration.milliseconds(500)
    /// How long somebody who is refused may take to hear it, and then to go.
    private static let refusalTimeout = Duration.seconds(1)

    /// A server with a state machine for each connection.
    ///
    /// - Parameters:
    ///   - address: port 0 lets the kernel choose; ``address`` then tells.
    ///   - reactor: the reactor to attach to, from its thread, which ``stop()`` then leaves running; nil makes one with
    ///     the default configuration.
    ///   - makeHandler: makes the handler of a new connection; called before its ``ConnectionEvent/opened``.
    /// - Throws: ``IOError`` if it cannot listen there; ``RingUnavailable`` if there is no io_uring.
    @inlinable
    public convenience init<Handler: ConnectionHandler>(
        on address: SocketAddress, configuration: ServerConfiguration = ServerConfiguration(), reactor: Reactor? = nil,
        makeHandler: @escaping (Connection) throws -> Handler
    ) throws {
        try self.init(
            on: address, configuration: configuration, reactor: reactor,
            makeDriver: { HandlerDriver(try makeHandler($0)) })
    }

    /// A server with callbacks: `onConnection` is called for each connection once it is open, and asks it for what it
    /// wants; see ``Connection/receive(upTo:timeout:_:)``.
    public convenience init(
        on address: SocketAddress, configuration: ServerConfiguration = ServerConfiguration(), reactor: Reactor? = nil,
        onConnection: @escaping (Connection) throws -> Void
    ) throws {
        // The table of connections is known only when the reactor is.
        let reactor = try reactor.map { ($0, false) } ?? (Reactor(), true)
        let connections = reactor.0.connections
        try self.init(
            on: address, configuration: configuration, reactor: reactor.0, ownsReactor: reactor.1,
            makeDriver: { [unowned connections] _ in
                CallbackDriver(connections) { try onConnection($0.get()) }
            })
    }

    @usableFromInline
    convenience init(
        on address: SocketAddress, configuration: ServerConfiguration, reactor: Reactor?,
        makeDriver: @escaping (Connection) throws -> ConnectionDriver
    ) throws {
        try self.init(
            on: address, configuration: configuration, reactor: try reactor ?? Reactor(), ownsReactor: reactor == nil,
            makeDriver: makeDriver)
    }

    private init(
        on address: SocketAddress, configuration: ServerConfiguration, reactor: Reactor, ownsReactor: Bool,
        makeDriver: @escaping (Connection) throws -> ConnectionDriver
    ) throws {
        reactor.assertOwner()
        self.reactor = reactor
        self.configuration = configuration
        limits = ConnectionLimits(configuration.connection)
        self.ownsReactor = ownsReactor
        self.makeDriver = makeDriver
        (listener, self.address) = try Server.listen(on: address, configuration, reactor.core.kernel)
        group.server = self
        number = reactor.attach(self)
        accept()
    }

    private static func listen(
        on address: SocketAddress, _ configuration: ServerConfiguration, _ kernel: any Kernel
    ) throws -> (FileDescriptor, SocketAddress) {
        func attempt<Result>(_ operation: OperationKind, _ body: () throws -> Result) throws -> Result {
            do {
                return try body()
            } catch let errno as Errno {
                throw IOError(operation, errno, target: address.description)
            }
        }
        let socket = try attempt(.socket) { try kernel.socket(address.family) }
        do {
            if let path = address.path {
                if configuration.replacesSocketFile { try attempt(.bind) { try kernel.unlink(path) } }
            } else {
                var options = configuration.socketOptions
                if configuration.reuseAddress { options[.reuseAddress] = 1 }
                if configuration.reusePort { options[.reusePort] = 1 }
                if configuration.noDelay { options[.noDelay] = 1 }
                for (option, value) in options.inOrder {
                    try attempt(.socket) { try kernel.setOption(option, to: value, on: socket) }
                }
            }
            try attempt(.bind) { try kernel.bind(socket, to: address) }
            try attempt(.listen) { try kernel.listen(socket, backlog: configuration.backlog) }
            return (socket, try attempt(.listen) { try kernel.localAddress(of: socket) })
        } catch {
            kernel.close(socket)
            throw error
        }
    }

    /// Connections that are not yet closed.
    public var connectionCount: Int { group.count }

    /// Runs the server's reactor on the calling thread until ``stop()``, or the reactor's own, ends it.
    ///
    /// For a server attached to a reactor that others use too, run that one.
    public func run() throws(ReactorError) { try reactor.run() }

    /// Stops listening, lets the connections finish what is queued for as long as
    /// ``ServerConfiguration/drainTimeout``, and then ends the reactor if it is the server's own. On the reactor's
    /// thread; from others, `handle.stop()`. More than once is harmless.
    public func stop() {
        reactor.assertOwner()
        guard !isStopping else { return }
        isStopping = true
        stopAccepting()
        reactor.connections.requestClose(of: group, .closed)
        drainDeadline = reactor.after(configuration.drainTimeout) { [self] in
            reactor.connections.closeAll(.closeTimedOut, of: group)
        }
        finishIfDone()
    }

    /// What other threads, and signal handlers by way of them, may use of the server.
    public var handle: ServerHandle { ServerHandle(reactor: reactor.handle, server: number) }

    // MARK: - Accepting

    private func accept() {
        retry = .none
        acceptance = reactor.acceptMultishot(on: listener) { [self] result in
            switch result {
            case .success(let socket): accepted(socket)
            case .failure(let error): acceptEnded(error)
            }
        }
    }

    private func accepted(_ socket: FileDescriptor) {
        if let since = pausedSince {
            pausedSince = nil
            pause = Server.shortestPause
            reactor.core.report(.acceptResumed(after: .nanoseconds(Int64(reactor.now &- since))))
        }
        guard !isStopping, group.count < configuration.maximumConnections ?? .max else { return refuse(socket) }
        let connection = reactor.connections.adopt(
            socket, family: address.family, group: group, limits: limits, makeDriver: makeDriver)
        if let connection {
            // The handler that was just made may have stopped the server, which did not know this connection yet.
            if isStopping { connection.close() }
        } else {
            refuse(socket)
        }
    }

    private func refuse(_ socket: FileDescriptor) {
        refusedConnections += 1
        guard let refusal = configuration.refusal, !isStopping, !reactor.isStopping else { return dismiss(socket) }
        reactor.send(refusal, to: socket, timeout: Server.refusalTimeout) { [self] result in
            guard case .success = result else { return dismiss(socket) }
            try? reactor.core.kernel.shutdown(socket, .sending)
            awaitEnd(of: socket, until: reactor.core.deadline(after: Server.refusalTimeout))
        }
    }

    /// Waits a little for the end of somebody who was refused: if we closed with something unread, the reset could overtake
    /// what we said.
    private func awaitEnd(of socket: FileDescriptor, until deadline: UInt64) {
        guard deadline > reactor.now else { return dismiss(socket) }
        let rest = Duration.nanoseconds(Int64(clamping: deadline - reactor.now))
        reactor.receive(from: socket, timeout: rest) { [self] result in
            if case .success(let bytes) = result, !bytes.isEmpty {
                awaitEnd(of: socket, until: deadline)
            } else {
                dismiss(socket)
            }
        }
    }

    /// Nothing is in flight on the socket. Not through the ring, which may have no place left for the operation.
    private func dismiss(_ socket: FileDescriptor) { reactor.core.kernel.close(socket) }

    private func acceptEnded(_ error: IOError) {
        acceptance = .none
        if isStopping || reactor.isStopping { return closeListener() }
        switch error.errno {
        case .badFileDescriptor, .notSocket, .invalidArgument, .notSupportedOnSocket:
            // Somebody else has closed the listener, or made something else of it.
            reactor.core.report(.acceptFailed(error))
            closeListener()
        default:
            // No descriptor left, no memory, a firewall's rule: it may pass. Those that wait to be accepted keep the
            // listener ready meanwhile, so trying again at once would spin.
            if pausedSince == nil {
                pausedSince = reactor.now
                reactor.core.report(.acceptPaused(error))
            }
            retry = reactor.after(pause) { [self] in accept() }
            pause = min(pause * 2, Server.longestPause)
        }
    }

    // MARK: - Ending

    private func stopAccepting() {
        if acceptance != .none {
            // The last callback closes the listener.
            reactor.cancel(acceptance)
        } else {
            reactor.cancel(retry)
            closeListener()
        }
    }

    private func closeListener() {
        guard isListening else { return }
        isListening = false
        // No accept is in flight any more.
        reactor.core.kernel.close(listener)
        if let path = address.path, !path.isEmpty { try? reactor.core.kernel.unlink(path) }
        finishIfDone()
    }

    fileprivate func finishIfDone() {
        guard isStopping, !isListening, group.count == 0 else { return }
        reactor.cancel(drainDeadline)
        leave()
        if ownsReactor { reactor.stop() }
    }

    /// The reactor was stopped, and ends the connections. A pause in accepting ends here; an accept in flight says itself
    /// when it has ended.
    func reactorStops() {
        isStopping = true
        if acceptance == .none { closeListener() }
        finishIfDone()
    }

    private func leave() {
        guard reactor.servers.removeValue(forKey: number) != nil else { return }
        whenStopped?()
    }
}

private final class ServerGroup: ConnectionGroup {
    weak var server: Server?

    override func connectionClosed() { server?.finishIfDone() }
}

/// Stops a ``Server`` from any thread.
public struct ServerHandle: Sendable {
    let reactor: ReactorHandle
    let server: UInt64

    /// ``Server/stop()``. More than once, and after the server has ended, is harmless.
    public func stop() {
        let server = server
        reactor.post { Reactor.current?.servers[server]?.stop() }
    }
}
