/// All that the reactor knows of one connection.
struct ConnectionSlot: SlabElement {
    /// The handler. Held, with one reference of ours, until the connection has ended.
    var driver: UncountedReference<ConnectionDriver>?
    var queue = SendQueue()
    /// What the receive in flight goes into, and the last ones went into, where the kernel does not pick the buffers.
    var receiveBuffer: PooledBuffer?
    /// What the operation in flight needs beside the queue: an address, or a vector of pieces.
    var attachment: AnyObject?
    /// Bytes received while reading was paused, copied out of the receive buffers.
    var held: [Bytes] = []
    var group: ConnectionGroup?
    var limits = ConnectionLimits.none
    /// When the handler wants to hear of it, or when a connect, a flush or a linger must be over; 0 for never.
    var deadline: UInt64 = 0
    /// When the receive that a callback waits for times out; 0 for never. Not the deadline, which is the user's own.
    var receiveDeadline: UInt64 = 0
    /// When the peer must have taken something of what waits for it; 0 while nothing waits.
    var writeDeadline: UInt64 = 0
    /// When to try to send again, where no poll can tell; 0 for never.
    var retryAt: UInt64 = 0
    /// When something was last received or sent.
    var lastActivity: UInt64 = 0
    /// The deadline of the earliest entry of the timer queue that names this slot; 0 for none.
    var timerAt: UInt64 = 0
    /// That of an entry which an earlier one has overtaken, and which will serve when its own time comes; 0 for none.
    var overtakenTimerAt: UInt64 = 0
    /// When the last write was started; 0 for never.
    var lastWrite: UInt64 = 0
    /// Bytes offered to the send in flight.
    var offered = 0
    /// Why it ends, once that is known.
    var reason: CloseReason?
    var generation: UInt32 = 0
    var nextVacant: UInt32 = 0
    var descriptor: Int32 = -1
    /// Bytes that the peer had not acknowledged when we last looked.
    var unacknowledged: Int32 = 0
    /// Operations whose completions are still to come.
    var inFlight: UInt16 = 0
    /// Pieces at the front of the queue that are offered to the send in flight.
    var offeredPieces: UInt16 = 0
    /// Zero-copy sends whose bytes the network may still read.
    var zeroCopies: UInt16 = 0
    /// Receives in a row that filled a small buffer, or left most of a large one empty.
    var unfitReceives: UInt8 = 0
    /// Tries in a row at ``retryAt`` that have sent nothing.
    var retries: UInt8 = 0
    var bufferSize = ReceiveSize.small
    var receiveForm = ReceiveForm.pooled
    var state = ConnectionState.vacant
    var flags: Flags = []

    struct Flags: OptionSet {
        let rawValue: UInt32
        static let receiving = Flags(rawValue: 1)
        static let sending = Flags(rawValue: 2)
        /// In the list of those with something to send.
        static let dirty = Flags(rawValue: 4)
        /// On its way to be looked at in the next turn.
        static let ready = Flags(rawValue: 8)
        static let paused = Flags(rawValue: 16)
        /// The peer has ended its sending.
        static let peerEnded = Flags(rawValue: 32)
        /// …which the handler has not been told, because it had paused.
        static let holdsEnd = Flags(rawValue: 64)
        /// Our sending ends when the queue is empty.
        static let shutdownRequested = Flags(rawValue: 128)
        /// More than the high watermark was waiting.
        static let backlogged = Flags(rawValue: 256)
        /// The peer's window is full: a poll, or a timer, waits for room.
        static let stalled = Flags(rawValue: 512)
        /// In the list of those that are stalled.
        static let listedStalled = Flags(rawValue: 1024)
        /// The multishot receive in flight was asked to end.
        static let cancelsReceive = Flags(rawValue: 2048)
        /// Waits for a receive buffer.
        static let starved = Flags(rawValue: 4096)
        /// The next receive has a buffer of its own, because the ring of large ones was empty.
        static let usesOwnBuffer = Flags(rawValue: 8192)
        /// The kernel does not do zero-copy sends on this socket.
        static let noZeroCopy = Flags(rawValue: 16_384)
        /// A socket whose multishot receives are not to be trusted.
        static let noMultishot = Flags(rawValue: 32_768)
        /// A close was asked for, and all that was queued has been sent.
        static let flushed = Flags(rawValue: 65_536)
        /// Polls for room complete at once, whether there is room or not.
        static let pollsInVain = Flags(rawValue: 131_072)
    }
}

/// How large the buffers of a connection's receives are.
enum ReceiveSize: UInt8 {
    /// ``ReactorConfiguration/receiveBufferSize``.
    case small
    /// ``ReceiveRings/largeFactor`` times that, for peers that send much at once.
    case large
}

/// Where a receive that is in flight finds its buffer.
enum ReceiveForm: UInt8 {
    /// It has one of its own, of the pool.
    case pooled
    /// The kernel picks one when something has come.
    case selected
    /// Likewise, and goes on to the next.
    case multishot
}

/// ``ConnectionOptions`` in the form the loop works with: one object for all connections of a server.
final class ConnectionLimits: Sendable {
    /// Nanoseconds; 0 for never.
    let idle: UInt64
    let flush: UInt64
    let linger: UInt64
    let write: UInt64
    let highWatermark: Int
    let lowWatermark: Int
    let maximumPendingBytes: Int
    let slowConsumer: SlowConsumerPolicy
    let receiving: ReceivePolicy
    /// `Int.max` for never.
    let zeroCopyThreshold: Int

    init(_ options: ConnectionOptions) {
        idle = options.idleTimeout?.nanoseconds ?? 0
        flush = options.flushTimeout.nanoseconds
        linger = options.lingerTimeout.nanoseconds
        write = options.writeTimeout?.nanoseconds ?? 0
        highWatermark = options.highWatermark
        lowWatermark = options.lowWatermark
        maximumPendingBytes = options.maximumPendingBytes
        slowConsumer = options.slowConsumer
        receiving = options.receiving
        zeroCopyThreshold = options.zeroCopyThreshold ?? .max
    }

    /// Those of a slot that no connection has.
    static let none = ConnectionLimits(ConnectionOptions())
}
