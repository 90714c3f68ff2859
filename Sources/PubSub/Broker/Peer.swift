import UringReactor

/// What a connection is to the broker: where bytes go, and a way to end it.
///
/// A peer is a small handle that is cheap to copy and to compare; a broker keeps one for every subscription. It is used on
/// the thread of its broker only. Neither function may throw: a connection that is gone ignores both, and says so later
/// through its own session, ``Session/ended(_:peer:)``.
///
/// **Calling back.** Either function may call any other session of the same broker, for instance end that of a peer
/// whose queue is full. It must not call the session that is speaking right now, which Swift would stop as an overlapping
/// access.
public protocol Peer: Hashable {
    /// Queues `bytes` behind what was sent before. They are shared, not copied, and never change.
    func send(_ bytes: Bytes)

    /// Flushes what is queued, then closes. Called once at most by the broker.
    func close()
}
