import UringReactor

/// What a connection is to the broker: where bytes go, a way to slow it down, and a way to end it.
///
/// A peer is a small handle that is cheap to copy and to compare; a broker keeps one for every publisher and every
/// subscriber. It is used on the thread of its broker only. No function may throw: a connection that is gone ignores them
/// all, and says so later through its own session, ``Session/ended(_:peer:)``. A `Connection` has all of these functions.
///
/// **Calling back.** Each function may call any other session of the same broker, for instance end that of a peer
/// whose queue is full. It must not call the session that is speaking right now, which Swift would stop as an overlapping
/// access.
public protocol Peer: Hashable {
    /// Queues `bytes` behind what was sent before. They are shared, not copied, and never change.
    ///
    /// - Returns: What became of them: `queued` or `backlogged` if they were taken, `dropped` or `refused` if not a byte
    ///   of them will be sent. What a peer takes and drops later, whole, the broker does not hear of. `backlogged` is a
    ///   promise: once less is waiting, ``Session/drained(peer:)`` is called, unless the session ends before. With
    ///   ``BrokerConfiguration/pausesPublishers`` publishers wait for that call. After `refused` nothing more is ever
    ///   accepted.
    @discardableResult
    func send(_ bytes: Bytes) -> SendOutcome

    /// Queues messages that lie in several pieces, two at least: as one run of bytes, of which all are sent or none.
    ///
    /// - Parameter pieces: Shared among all subscribers, and best not kept: its memory is used again. The bytes may be.
    /// - Returns: As for ``send(_:)-(Bytes)``.
    @discardableResult
    func send(_ pieces: [Bytes]) -> SendOutcome

    /// Queues the answer to a command, or a `BYE`, as ``send(_:)-(Bytes)`` does a message. A peer that drops messages when
    /// too much waits should not drop this one once it has taken it: who misses its `OK` takes a message for the answer.
    ///
    /// The same as ``send(_:)-(Bytes)`` unless a peer does better.
    @discardableResult
    func reply(_ bytes: Bytes) -> SendOutcome

    /// Reads nothing more until ``resumeReading()``, so that whoever sends must wait. Called for publishers only, and only
    /// with ``BrokerConfiguration/pausesPublishers``; never twice in a row.
    ///
    /// What was received already may still be fed to the session. It must not be in this call.
    func pauseReading()

    /// Goes on reading. Called once after each ``pauseReading()``, at the latest when the publisher leaves.
    ///
    /// What came in the meantime is fed to the session, but not in this call: later.
    func resumeReading()

    /// Flushes what is queued, then closes. Called once at most by the broker.
    func close()
}

extension Peer {
    @discardableResult
    public func reply(_ bytes: Bytes) -> SendOutcome { send(bytes) }
}
