/// A connection as an explicit state machine: events in, next steps out. No closure, and no allocation for an event.
///
/// The handler is a value of yours, usually a struct, that lives as long as the connection. Its one function is called on
/// the reactor's thread, never from within itself: what it asks of the connection happens at once, what comes of that
/// arrives as a later event.
///
/// ```swift
/// struct Echo: ConnectionHandler {
///     mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
///         switch event {
///         case .received(let bytes):
///             connection.send(bytes)
///             return .continue
///         case .opened, .drained, .closed: return .continue
///         case .ended, .timedOut: return .close
///         }
///     }
/// }
/// ```
public protocol ConnectionHandler {
    /// Handles one event.
    ///
    /// - Returns: what to do next; not looked at after ``ConnectionEvent/closed(_:)``.
    /// - Throws: to end the connection with ``CloseReason/handlerFailed``; the error is counted and reported.
    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep
}

/// What happens to a connection. Begins with `opened`, unless it could not be made, and ends with `closed`.
public enum ConnectionEvent: Sendable {
    /// It is open in both directions.
    case opened
    /// Bytes have come, at least one. They share a buffer of the reactor's; keep them as long as you like, copy what you
    /// keep for very long.
    case received(Bytes)
    /// The peer has ended its sending; we may go on with ours, unless that has ended too: then `closed` follows. Answer
    /// ``NextStep/close`` if there is nothing to add.
    case ended
    /// What was waiting to be sent has fallen to the low watermark, after it had risen above the high one.
    case drained
    /// The idle timeout, or the deadline set by ``Connection/setDeadline(after:)``, has passed. ``NextStep/continue`` gives
    /// it another idle timeout.
    case timedOut
    /// The end. Nothing is in flight any more, no event will follow, and the handler is released.
    case closed(CloseReason)
}

/// What a handler wants after an event.
public enum NextStep: Sendable, Hashable {
    /// Go on.
    case `continue`
    /// Send what is queued, then close; see ``Connection/close()``.
    case close
    /// Close now; what is queued is lost.
    case abort
}

/// What a connection is driven by: a handler, or callbacks. A class, so that the connections of one reactor can have
/// handlers of many types at the cost of one indirect call.
@usableFromInline
class ConnectionDriver {
    @usableFromInline
    init() {}

    /// Whether bytes are received only while somebody waits for them.
    var readsOnDemand: Bool { false }

    /// Of those: whether somebody waits right now.
    var isWaiting: Bool { false }

    @usableFromInline
    func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        fatalError("abstract")
    }

    /// Something the driver asked for with ``ConnectionTable/makeReady(_:)`` is due.
    func resume(_ connection: Connection) throws -> NextStep { .continue }

    /// The time set by ``ConnectionTable/setReceiveDeadline(_:after:)`` is up.
    func receiveTimedOut(_ connection: Connection) throws -> NextStep { .continue }
}

/// The driver of a ``ConnectionHandler``, which is specialized where the handler's type is known.
@usableFromInline
final class HandlerDriver<Handler: ConnectionHandler>: ConnectionDriver {
    // Unchecked: only the table calls handlers, and never one from within a call it makes itself.
    @usableFromInline
    @exclusivity(unchecked) var handler: Handler

    @inlinable
    init(_ handler: Handler) {
        unsafe self.handler = handler
        super.init()
    }

    @inlinable
    override func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        try unsafe handler.handle(event, on: connection)
    }
}

/// The connections that belong together, those of one server.
class ConnectionGroup {
    /// Connections of the group that are not yet closed.
    final var count = 0

    /// One has ended, and `count` has been lowered.
    func connectionClosed() {}
}
