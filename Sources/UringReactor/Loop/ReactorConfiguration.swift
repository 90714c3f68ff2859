/// How a ``Reactor`` is made. The defaults serve a server of some thousand connections.
public struct ReactorConfiguration {
    /// Operations that fit into the submission queue; rounded up to a power of two, at most 32,768. More may be started:
    /// a full queue is submitted.
    public var submissionEntries = 512
    /// Completions that fit into the completion queue; likewise, at most 65,536. What does not fit waits in the kernel:
    /// nothing is lost, but it is slower.
    public var completionEntries = 4096
    /// When the kernel is entered.
    public var batching = BatchingPolicy.turn
    /// The most callback operations at once, timers among them; one more fails with `ENOBUFS`. Slots are allocated as
    /// they are needed, 256 at a time, and kept.
    public var maximumOperations = 1 << 20
    /// The most connections at once, accepted and made. One more is refused: an accepted one is told
    /// ``ServerConfiguration/refusal``, if there is one, and closed; a connect fails with `ENOBUFS`. Slots are
    /// allocated as they are needed, 256 at a time, and kept.
    public var maximumConnections = 1 << 17
    /// Bytes of a small receive buffer; connections that receive much at once use buffers of 16 times as many. At most a
    /// megabyte.
    public var receiveBufferSize = 4096
    /// How many small receive buffers the kernel has to pick from, rounded up to a power of two, at most 16,384; of the
    /// large ones there are an eighth as many. Memory that was never used takes none. With fewer buffers than connections
    /// that have something at the same time, those that find none take another turn; many more cost the processor's cache.
    /// 0: each receive has a buffer of its own, also while it waits.
    public var receiveBufferCount = 512
    /// The most completions that are handled, and the most connections that start a send, before the kernel is entered
    /// again, at least 1: what comes in great numbers, such as the ends of ten thousand connections, must not keep the
    /// others waiting.
    public var workPerTurn = 1024
    /// Whether ``Reactor/run(_:)`` sets SIGPIPE to be ignored, if its action is the default one. The library's own sends
    /// never raise it (`MSG_NOSIGNAL`); a write to a closed pipe would.
    public var ignoresBrokenPipeSignal = true
    /// Called, on the reactor's thread, with what happened that no callback hears of: an error thrown by a callback, an
    /// accept that failed. By default a line on standard error.
    public var onReport: (ReactorReport) -> Void = { $0.print() }

    /// The defaults.
    public init() {}
}
