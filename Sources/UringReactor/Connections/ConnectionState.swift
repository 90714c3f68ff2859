/// Where a connection is in its life.
enum ConnectionState: UInt8, CaseIterable {
    /// No connection has this slot.
    case vacant
    /// connect(2) is in flight.
    case connecting
    /// Both directions are open.
    case open
    /// The peer has ended its sending; we may go on with ours.
    case peerEnded
    /// We have ended our sending, or cannot send any more; we may receive what is left.
    case sendingEnded
    /// A close was asked for. What is queued goes out; what comes in is thrown away.
    case flushing
    /// All is sent, and the peer was told so. What it still sends is thrown away until it ends too: closing before would
    /// reset the connection, and the reset could overtake our last words.
    case lingering
    /// Nothing is sent or received any more. Waits for the operations in flight: a join.
    case closing
    /// No operation is in flight. close(2) is.
    case closed
}

/// What moves a connection from one state to another.
enum LifecycleEvent: UInt8, CaseIterable {
    /// A slot was given to an accepted socket, or a connect succeeded.
    case opened
    /// A connect was started.
    case connectStarted
    /// The peer has sent its last byte.
    case peerEnded
    /// Our last byte has been sent, and we told the peer; or a send has failed for good.
    case sendingEnded
    /// Somebody asked for a polite end.
    case closeRequested
    /// Nothing is left to send, and the peer may still be sending.
    case flushed
    /// The end, without waiting for anything but the operations in flight.
    case aborted
    /// The last operation in flight has completed.
    case joined
    /// close(2) has completed.
    case descriptorClosed
}

extension ConnectionState {
    /// The one place where the state of a connection changes. A pair that cannot happen is a bug of ours, and traps.
    mutating func move(_ event: LifecycleEvent) {
        guard let next = next(after: event) else {
            fatalError("UringReactor: a connection that is \(self) cannot handle the event \(event)")
        }
        self = next
    }

    /// The state after an event, or nil for a pair that cannot happen.
    func next(after event: LifecycleEvent) -> ConnectionState? {
        switch (self, event) {
        case (.vacant, .connectStarted): .connecting
        case (.vacant, .opened), (.connecting, .opened): .open

        case (.open, .peerEnded): .peerEnded
        case (.open, .sendingEnded): .sendingEnded
        // With both directions at their end nothing is left to do.
        case (.sendingEnded, .peerEnded), (.peerEnded, .sendingEnded): .closing

        case (.open, .closeRequested), (.peerEnded, .closeRequested): .flushing
        // Nothing is queued any more.
        case (.sendingEnded, .closeRequested): .lingering
        case (.connecting, .closeRequested): .closing
        // The second request changes nothing.
        case (.flushing, .closeRequested): .flushing
        case (.lingering, .closeRequested): .lingering
        case (.closing, .closeRequested): .closing
        case (.closed, .closeRequested): .closed

        // Noted beside the state; the flush goes on.
        case (.flushing, .peerEnded): .flushing
        case (.flushing, .flushed): .lingering
        case (.flushing, .sendingEnded): .closing
        case (.lingering, .peerEnded): .closing

        case (.connecting, .aborted), (.open, .aborted), (.peerEnded, .aborted), (.sendingEnded, .aborted),
            (.flushing, .aborted), (.lingering, .aborted):
            .closing
        case (.closing, .aborted): .closing
        case (.closed, .aborted): .closed

        case (.closing, .joined): .closed
        case (.closed, .descriptorClosed): .vacant

        case (.vacant, _), (.connecting, _), (.open, _), (.peerEnded, _), (.sendingEnded, _), (.flushing, _),
            (.lingering, _), (.closing, _), (.closed, _):
            nil
        }
    }

    /// Whether the user may queue something to send.
    var maySend: Bool { self == .open || self == .peerEnded }
    /// Whether what is queued still goes out.
    var sends: Bool { self == .open || self == .peerEnded || self == .flushing }
    /// Whether the handler gets what comes in.
    var delivers: Bool { self == .open || self == .sendingEnded }
    /// Whether what comes in is thrown away.
    var discards: Bool { self == .flushing || self == .lingering }
    /// Whether the connection is open, at least in one direction, and nobody has asked for its end.
    var isLive: Bool { self == .open || self == .peerEnded || self == .sendingEnded }
}
