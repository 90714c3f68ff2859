/// One connection of the reactor that runs on this thread: a handle of eight bytes, to be kept by the thousand.
///
/// A handle whose connection has ended is stale, and harmless: what it is asked to do is not done, and answers say so. A
/// handle must not leave its reactor's thread; used on another, or where no reactor runs, it ends the process with a
/// message.
public struct Connection: Hashable, Sendable {
    /// Reactor (8 bits), generation (24 bits), slot (32 bits).
    let rawValue: UInt64

    init(slot: UInt32, generation: UInt32, reactor: UInt8) {
        rawValue = UInt64(reactor) << 56 | UInt64(generation & OperationToken.generationMask) << 32 | UInt64(slot)
    }

    var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) & OperationToken.generationMask }
    var reactor: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 56) }

    /// The connections of this thread's reactor, to which this one belongs.
    /// What the thread's reactor does for its connections. Within a closure: a reference that is handed on would be counted,
    /// for each send.
    @inline(__always)
    func use<Result>(_ body: (ConnectionTable) throws -> Result) rethrows -> Result {
        guard let table = ConnectionTable.current else { Connection.usedElsewhere() }
        return try table.use { table in
            guard table.reactorNumber == reactor else { Connection.usedElsewhere() }
            return try body(table)
        }
    }

    @inline(never)
    private static func usedElsewhere() -> Never {
        fatalError(
            """
            A Connection was used outside of its reactor: on another thread, or while the reactor does not run. Hand the \
            work over with reactor.handle.post { … }.
            """)
    }
}

/// What became of a send.
public enum SendOutcome: Sendable, Hashable {
    /// It will be sent.
    case queued
    /// It will be sent, but more than ``ConnectionOptions/highWatermark`` is waiting now: send less until
    /// ``ConnectionEvent/drained``.
    case backlogged
    /// It will not be sent: it would have exceeded ``ConnectionOptions/maximumPendingBytes``, and the policy is
    /// ``SlowConsumerPolicy/dropNewest``.
    case dropped
    /// It will not be sent: the connection is not open yet, has ended, is ending, or its sending has ended.
    case refused
}

extension Connection {
    /// Whether it is open, at least in one direction, and nobody has asked for its end. False while it is connecting.
    public var isOpen: Bool { use { $0.state(of: self).isLive } }

    /// Bytes that wait to be sent.
    public var pendingBytes: Int { use { $0.pendingBytes(of: self) } }

    /// Sends all of `bytes`, after what was queued before. What is queued in one turn goes out together.
    ///
    /// Copies nothing: the bytes must not change, which ``Bytes`` guarantees. Refused before the connection is open:
    /// ``ConnectionEvent/opened`` is when to begin.
    @discardableResult
    public func send(_ bytes: Bytes) -> SendOutcome {
        use { $0.send(bytes, callback: nil, on: self) }
    }

    /// Sends all of `bytes` as ``send(_:)-(Bytes)`` does. Unless they may be dropped, no policy drops them, once they are
    /// queued, to make room for others (``SlowConsumerPolicy/dropOldest``): for what a peer must not miss, such as the
    /// answer to its request.
    @discardableResult
    public func send(_ bytes: Bytes, mayBeDropped: Bool) -> SendOutcome {
        use { $0.send(bytes, callback: nil, stays: !mayBeDropped, on: self) }
    }

    /// Sends one message that lies in several pieces, in order, as ``send(_:)-(Bytes)`` does one that lies in one. A policy
    /// that drops messages (``ConnectionOptions/slowConsumer``) drops all of the pieces or none.
    @discardableResult
    public func send(_ pieces: [Bytes]) -> SendOutcome {
        use { $0.send(pieces, on: self) }
    }

    /// Sends what is queued, tells the peer that no more comes, waits a little for it to end its side, and closes.
    ///
    /// What comes in from now on is thrown away. Takes no longer than ``ConnectionOptions/flushTimeout`` and
    /// ``ConnectionOptions/lingerTimeout``.
    public func close() { use { $0.close(self) } }

    /// Closes now. What is queued is lost, and if the peer has sent what was not read it sees a reset.
    public func abort() { use { $0.abort(self, .aborted) } }

    /// Sends what is queued and then tells the peer that no more comes; goes on receiving. A half-close: shutdown(2) with
    /// `SHUT_WR`.
    public func shutdownSending() { use { $0.shutdownSending(self) } }

    /// Stops receiving, so that the peer's sends fill the kernel's buffers and then wait: backpressure. A receive that is
    /// in flight completes, and what it brought is delivered after ``resumeReading()``. The idle timeout goes on.
    ///
    /// For state machines; with callbacks nothing is received that was not asked for.
    public func pauseReading() { use { $0.pauseReading(self) } }

    /// Goes on after ``pauseReading()``.
    public func resumeReading() { use { $0.resumeReading(self) } }

    /// Sends the handler ``ConnectionEvent/timedOut`` once, `delay` from now, in place of an earlier deadline; nil for
    /// none. With callbacks the connection is closed then (``CloseReason/deadline``). Independent of the idle timeout.
    /// Costs no operation. Not before the connection is open.
    public func setDeadline(after delay: Duration?) { use { $0.setDeadline(self, after: delay) } }

    /// The address of the peer, or nil if the connection has ended: getpeername(2).
    public var remoteAddress: SocketAddress? { use { $0.remoteAddress(of: self) } }

    /// Our own address, or nil if the connection has ended: getsockname(2).
    public var localAddress: SocketAddress? { use { $0.localAddress(of: self) } }
}

extension Connection: CustomStringConvertible {
    /// `connection 7.2`: slot and generation, enough to tell two apart in a log.
    public var description: String { "connection \(slot).\(generation)" }
}
