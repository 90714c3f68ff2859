import UringReactor

/// What a connection is to the broker: where bytes go, and a way to end it.
///
/// A peer is a small handle that is cheap to copy and to compare; a broker keeps one for every subscription. It is used on
/// the thread of its broker only. No function may throw: a connection that is gone ignores them all, and says so later
/// through its own session, ``Session/ended(_:peer:)``. A `Connection` has all of these functions.
///
/// **Calling back.** Each function may call any other session of the same broker, for instance end that of a peer
/// whose queue is full. It must not call the session that is speaking right now, which Swift would stop as an overlapping
/// access.
public protocol Peer: Hashable {
    /// Queues `bytes` behind what was sent before. They are shared, not copied, and never change.
    ///
    /// - Returns: What became of them: `queued` or `backlogged` if they will be sent, `dropped` or `refused` if not a byte
    ///   of them will. After `refused` nothing more is ever accepted.
    @discardableResult
    func send(_ bytes: Bytes) -> SendOutcome

    /// Queues messages that lie in several pieces, two at least: as one run of bytes, of which all are sent or none.
    ///
    /// - Parameter pieces: Shared among all subscribers, and best not kept: its memory is used again. The bytes may be.
    /// - Returns: As for ``send(_:)-(Bytes)``.
    @discardableResult
    func send(_ pieces: [Bytes]) -> SendOutcome

    /// Flushes what is queued, then closes. Called once at most by the broker.
    func close()
}
