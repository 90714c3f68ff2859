import SystemPackage

/// The callback style: for connections made with ``Reactor/connect(to:timeout:options:socketOptions:_:)``, or accepted
/// by a server that was given a function instead of handlers.
///
/// Nothing is received until it is asked for, one receive at a time; what the peer sends meanwhile waits in the kernel.
/// Callbacks are called on a later turn, never before the call that was given them returns. One that throws closes its
/// connection; the error is counted and reported.
extension Connection {
    /// Sends all of `bytes`, after what was queued before, and calls back when the kernel has taken the last of them, with
    /// their number, or when it is clear that it will not.
    public func send(_ bytes: Bytes, _ callback: @escaping (Result<Int, IOError>) throws -> Void) {
        _ = use { $0.send(bytes, callback: SendQueue.SendCallback(body: callback), on: self) }
    }

    /// Receives what has come, or comes next: at least one byte, or nil when the peer has ended its sending.
    ///
    /// - Parameters:
    ///   - most: the most bytes to be given at once, at least 1.
    ///   - timeout: fails with `ETIMEDOUT` when nothing has come by then; the connection stays open.
    public func receive(
        upTo most: Int = .max, timeout: Duration? = nil, _ callback: @escaping (Result<Bytes?, IOError>) throws -> Void
    ) {
        precondition(most > 0, "a receive of \(most) bytes")
        receive(.any(most), timeout, callback)
    }

    /// Receives exactly `count` bytes, or nil when the peer has ended its sending before the first of them. In the middle
    /// of them the end is an error, `ENODATA`; what did come can then be had with ``receive(upTo:timeout:_:)``.
    public func receive(
        exactly count: Int, timeout: Duration? = nil, _ callback: @escaping (Result<Bytes?, IOError>) throws -> Void
    ) {
        precondition(count > 0, "a receive of \(count) bytes")
        receive(.exactly(count), timeout, callback)
    }

    /// Receives one line, without its LF or CRLF, or nil when the peer has ended its sending. The end in the middle of a
    /// line is an error, `ENODATA`, and so is a line longer than `limit`, `EMSGSIZE`; what did come can then be had with
    /// ``receive(upTo:timeout:_:)``.
    ///
    /// - Parameter limit: the most bytes of a line, without its ending; memory is taken for no more.
    public func receiveLine(
        limit: Int = 65536, timeout: Duration? = nil, _ callback: @escaping (Result<Bytes?, IOError>) throws -> Void
    ) {
        precondition(limit >= 0, "a line of \(limit) bytes")
        receive(.line(limit: limit), timeout, callback)
    }

    /// Calls back once, when the connection has ended and nothing of it is in flight. Right away, on the next turn, for one
    /// that has ended already.
    ///
    /// The callbacks of what was queued or waited for have been called by then. One of a send that was refused is called on
    /// the turn after the refusal, which can be later.
    ///
    /// What has ended before cannot be told any more: such a callback gets ``CloseReason/closed``.
    public func whenClosed(_ callback: @escaping (CloseReason) throws -> Void) {
        guard let driver = callbackDriver else { return use { $0.later { try callback(.closed) } } }
        driver.whenClosed(callback)
    }

    private func receive(
        _ wish: CallbackDriver.Waiting.Wish, _ timeout: Duration?,
        _ callback: @escaping (Result<Bytes?, IOError>) throws -> Void
    ) {
        guard let driver = callbackDriver, isOpen else {
            let error = IOError(.receive, .socketNotConnected, target: "\(self)")
            return use { $0.later { try callback(.failure(error)) } }
        }
        let waiting = CallbackDriver.Waiting(wish: wish, isTimed: timeout != nil, body: callback)
        driver.receive(waiting, timeout: timeout, on: self)
    }

    /// The driver of a connection that has not ended.
    private var callbackDriver: CallbackDriver? {
        guard let driver = use({ table in table.index(of: self).flatMap { table.slots[$0].driver } }) else { return nil }
        return driver.use { driver in
            guard let driver = driver as? CallbackDriver else {
                fatalError("\(self) has a ConnectionHandler, which gets what is received as events, not by callbacks.")
            }
            return driver
        }
    }
}
