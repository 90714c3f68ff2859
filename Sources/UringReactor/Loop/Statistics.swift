public import Histogram

/// What a reactor has done so far: a copy, taken by ``Reactor/statistics``.
public struct Statistics: Sendable {
    /// Turns of the loop.
    public internal(set) var turns: UInt64 = 0
    /// Calls of io_uring_enter(2).
    public internal(set) var enters: UInt64 = 0
    /// Those of them that were allowed to wait.
    public internal(set) var waits: UInt64 = 0
    /// Times that ``ReactorHandle/post(_:)`` woke a reactor that waited, or was about to; many posts can share one.
    public internal(set) var wakeUps: UInt64 = 0
    /// Operations the kernel has taken.
    public internal(set) var submitted: UInt64 = 0
    /// Completions the kernel has delivered.
    public internal(set) var completed: UInt64 = 0
    /// Operations started, by kind. Rises when one is queued, ``submitted`` when the kernel takes it.
    public internal(set) var startedByKind = OperationCounts()
    /// Completions, by kind.
    public internal(set) var completedByKind = OperationCounts()

    /// Operations that found the submission queue full.
    public internal(set) var submissionOverflows: UInt64 = 0
    /// Turns that found completions waiting outside of a full completion queue.
    public internal(set) var completionOverflows: UInt64 = 0
    /// Enters that a signal interrupted.
    public internal(set) var interruptedEnters: UInt64 = 0
    /// Enters that consumed fewer operations than they were offered.
    public internal(set) var partialSubmits: UInt64 = 0
    /// Operations that were started again because a signal interrupted them.
    public internal(set) var retries: UInt64 = 0
    /// Multishot operations that the kernel ended and the library started again.
    public internal(set) var multishotRestarts: UInt64 = 0
    /// Sends and writes of which the kernel took only a part; the library sent the rest.
    public internal(set) var shortSends: UInt64 = 0
    /// Completions of operations that nobody knew any more. Dropped.
    public internal(set) var staleCompletions: UInt64 = 0
    /// Errors thrown by callbacks, handlers and posted or timed jobs; each was reported (``ReactorReport``).
    public internal(set) var errorsThrown: UInt64 = 0

    /// Bytes received by connections and by ``Reactor/receive(from:upTo:timeout:_:)``; reads of files are not counted.
    public internal(set) var bytesReceived: UInt64 = 0
    /// Bytes sent by connections and by the reactor's sends, and written by its writes.
    public internal(set) var bytesSent: UInt64 = 0
    /// Connections that were opened, accepted or made, since the reactor began.
    public internal(set) var connectionsOpened: UInt64 = 0
    /// Connections that are not yet closed.
    public internal(set) var connections: Int = 0
    /// The most connections there were at once.
    public internal(set) var connectionsHighWaterMark: Int = 0
    /// Connections ended because more was waiting to be sent than their limit.
    public internal(set) var slowConsumers: UInt64 = 0
    /// Messages dropped because more was waiting to be sent than the limit.
    public internal(set) var messagesDropped: UInt64 = 0
    /// Their bytes.
    public internal(set) var bytesDropped: UInt64 = 0
    /// Times that a peer took no more for the moment, and a connection waited for room.
    public internal(set) var stalls: UInt64 = 0
    /// Sends that the kernel was to do without copying.
    public internal(set) var zeroCopySends: UInt64 = 0
    /// Those of them whose memory the kernel still has.
    public internal(set) var zeroCopySendsInFlight = 0
    /// Servers that have not ended.
    public internal(set) var servers = 0
    /// Callback operations that are not yet finished, timers among them.
    public internal(set) var operations: Int = 0
    /// The most callback operations there were at once.
    public internal(set) var operationsHighWaterMark: Int = 0
    /// Bytes that the library itself has copied: out of a ring of receive buffers that ran low, for a connection that
    /// pauses, or for a callback that waits for a whole line. 0 as long as nobody is slow. What the kernel copies is not
    /// counted.
    public internal(set) var bytesCopied: UInt64 = 0
    /// Receives that found no buffer in the ring, and were started again when there was one.
    public internal(set) var receivesWithoutBuffer: UInt64 = 0
    /// Buffers of the ring of small receive buffers that somebody holds.
    public internal(set) var receiveBuffersInUse = 0
    /// The most of them that were held at once.
    public internal(set) var receiveBuffersHighWaterMark = 0
    /// Buffers of the ring of large receive buffers that somebody holds.
    public internal(set) var largeReceiveBuffersInUse = 0
    /// Buffers beside the rings that a connection receives into, or whose slices live.
    public internal(set) var pooledBuffersInUse = 0
    /// Connections that wait for a receive buffer.
    public internal(set) var connectionsWithoutBuffer = 0
    /// Receive buffers allocated beside the rings; in a steady state this stands still.
    public internal(set) var receiveBufferAllocations: UInt64 = 0

    /// How many operations an enter submitted, of those enters that submitted any: the sizes of batches.
    public internal(set) var operationsPerEnter: Histogram<UInt64>
    /// How many completions a turn handled, of those turns that handled any.
    public internal(set) var completionsPerTurn: Histogram<UInt64>
    /// Nanoseconds between the starts of two writes to one connection, by the clock as it is read once a turn; an hour
    /// at most. Sends to bare descriptors are not counted.
    public internal(set) var timeBetweenWrites: Histogram<UInt64>

    init() {
        operationsPerEnter = Histogram(highestTrackableValue: 1 << 20, numberOfSignificantValueDigits: .two)
        completionsPerTurn = Histogram(highestTrackableValue: 1 << 20, numberOfSignificantValueDigits: .two)
        // An hour; what is longer counts as an hour.
        timeBetweenWrites = Histogram(highestTrackableValue: 3_600_000_000_000, numberOfSignificantValueDigits: .two)
    }
}

/// A count for each ``OperationKind``.
public struct OperationCounts: Sendable {
    /// Inline, since one of them is raised for each operation. As many as there are kinds, or more.
    private var counts = InlineArray<24, UInt64>(repeating: 0)

    init() {}

    /// How many there were of this kind.
    public internal(set) subscript(kind: OperationKind) -> UInt64 {
        @inline(__always)
        get { counts[Int(kind.rawValue)] }
        @inline(__always)
        set { counts[Int(kind.rawValue)] = newValue }
    }

    /// The kinds that were counted at all.
    public var nonzero: [(kind: OperationKind, count: UInt64)] {
        OperationKind.allCases.compactMap { self[$0] == 0 ? nil : ($0, self[$0]) }
    }
}

extension Statistics: CustomStringConvertible {
    /// A table for people, several lines without an end of line at the last.
    public var description: String {
        let kinds = startedByKind.nonzero.map { "\($0.kind) \($0.count)" }.joined(separator: ", ")
        return """
            operations   \(submitted) submitted, \(completed) completions, \(operations) callbacks open (at most \
            \(operationsHighWaterMark))
            by kind      \(kinds.isEmpty ? "none" : kinds)
            enters       \(enters) system calls in \(turns) turns, \(waits) could wait, \(wakeUps) wake-ups by post
            connections  \(connections) open (at most \(connectionsHighWaterMark)), \(connectionsOpened) in all, \
            \(slowConsumers) too slow
            bytes        \(bytesReceived) received, \(bytesSent) sent, \(bytesCopied) copied, \(zeroCopySends) \
            zero-copy sends
            slow peers   \(shortSends) short sends, \(stalls) stalls, \(messagesDropped) messages dropped \
            (\(bytesDropped) bytes)
            buffers      \(receiveBuffersInUse) in use (at most \(receiveBuffersHighWaterMark)), \
            \(receivesWithoutBuffer) receives found none, \(receiveBufferAllocations) allocated beside
            unusual      \(submissionOverflows) SQ overflows, \(completionOverflows) CQ overflows, \
            \(interruptedEnters) EINTR, \(partialSubmits) partial submits, \(retries) retries, \
            \(multishotRestarts) multishot restarts, \(staleCompletions) stale, \(errorsThrown) errors thrown
            per enter    \(Statistics.summary(operationsPerEnter)) operations
            per turn     \(Statistics.summary(completionsPerTurn)) completions
            write gaps   \(Statistics.summary(timeBetweenWrites, unit: 1000)) µs between writes to one connection
            """
    }

    private static func summary(_ histogram: Histogram<UInt64>, unit: UInt64 = 1) -> String {
        guard histogram.totalCount > 0 else { return "no" }
        func at(_ percentile: Double) -> String { "\(histogram.valueAtPercentile(percentile) / unit)" }
        return "p50 \(at(50)), p90 \(at(90)), p99 \(at(99)), max \(histogram.max / unit)"
    }
}
