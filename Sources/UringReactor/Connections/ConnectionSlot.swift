/// All that the reactor knows of one connection.
struct ConnectionSlot: SlabElement {
    /// The handler. Held, with one reference of ours, until the connection has ended.
    var driver: UncountedReference<ConnectionDriver>?
    var queue = SendQueue()
    /// What the receive in flight goes into, and the last ones went into.
    var receiveBuffer: ReceiveBuffer?
    /// What the operation in flight needs beside the queue: an address, or a vector of pieces.
    var attachment: AnyObject?
    /// Bytes received while reading was paused.
    var held = Bytes()
    var group: ConnectionGroup?
    var options = ConnectionTimes()
    /// When the handler wants to hear of it, or when a connect, a flush or a linger must be over; 0 for never.
    var deadline: UInt64 = 0
    /// When the receive that a callback waits for times out; 0 for never. Not the deadline, which is the user's own.
    var receiveDeadline: UInt64 = 0
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
    /// Operations whose completions are still to come.
    var inFlight: UInt16 = 0
    /// Receives in a row that left most of the buffer empty.
    var smallReceives: UInt8 = 0
    var bufferSize = ReceiveBuffers.Size.small
    var state = ConnectionState.vacant
    var flags: Flags = []

    struct Flags: OptionSet {
        let rawValue: UInt16
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
    }
}

/// ``ConnectionOptions``, in the form the loop works with.
struct ConnectionTimes {
    /// Nanoseconds; 0 for never.
    var idle: UInt64 = 0
    var flush: UInt64 = 0
    var linger: UInt64 = 0
    var highWatermark = 0
    var lowWatermark = 0
    var maximumPendingBytes = 0

    init() {}

    init(_ options: ConnectionOptions) {
        idle = options.idleTimeout?.nanoseconds ?? 0
        flush = options.flushTimeout.nanoseconds
        linger = options.lingerTimeout.nanoseconds
        highWatermark = options.highWatermark
        lowWatermark = options.lowWatermark
        maximumPendingBytes = options.maximumPendingBytes
    }
}
