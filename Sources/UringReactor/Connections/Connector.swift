extension Reactor {
    /// Connects and hands the connection to a state machine.
    ///
    /// The handler gets ``ConnectionEvent/opened``, or, as its only event, ``ConnectionEvent/closed(_:)`` with
    /// ``CloseReason/connectFailed(_:)``.
    ///
    /// - Parameters:
    ///   - timeout: how long to try; nil leaves it to the kernel (about two minutes for TCP).
    ///   - socketOptions: set before connecting; by default `TCP_NODELAY`. Not for Unix sockets.
    /// - Returns: the connection, which can be closed even before it is open.
    @inlinable
    @discardableResult
    public func connect<Handler: ConnectionHandler>(
        to address: SocketAddress, timeout: Duration? = nil, options: ConnectionOptions = ConnectionOptions(),
        socketOptions: [SocketOption: Int] = [.noDelay: 1], handler: Handler
    ) -> Connection {
        connect(
            to: address, timeout: timeout, options: options, socketOptions: socketOptions, driver: HandlerDriver(handler))
    }

    @usableFromInline
    func connect(
        to address: SocketAddress, timeout: Duration?, options: ConnectionOptions, socketOptions: [SocketOption: Int],
        driver: ConnectionDriver
    ) -> Connection {
        assertOwner()
        return connections.connect(
            to: address, timeout: timeout, options: options, socketOptions: socketOptions, driver: driver)
    }

    /// Connects and calls back with the connection, or with why there is none: the callback style.
    ///
    /// Parameters as for state machines.
    @discardableResult
    public func connect(
        to address: SocketAddress, timeout: Duration? = nil, options: ConnectionOptions = ConnectionOptions(),
        socketOptions: [SocketOption: Int] = [.noDelay: 1],
        _ callback: @escaping (Result<Connection, IOError>) throws -> Void
    ) -> Connection {
        let driver = CallbackDriver(connections, onConnect: callback)
        return connect(
            to: address, timeout: timeout, options: options, socketOptions: socketOptions, driver: driver)
    }
}
