import SystemPackage
import UringReactor

/// Where a run takes place: the simulated kernel, or Linux. A workload knows nothing else of it.
///
/// Everything happens on one thread, the reactor's.
protocol World: AnyObject {
    var reactor: Reactor { get }
    /// Nanoseconds.
    func now() -> UInt64

    /// A step of a script that is not the library's, later.
    func schedule(after delay: Duration, _ step: @escaping () -> Void)
    /// A far end that connects to a server of the library's.
    func connect(to address: SocketAddress) throws -> any FarEnd
    /// Far ends that the library connects to.
    func listen(onAccept: @escaping (any FarEnd) -> Void) throws -> SocketAddress

    /// Has a server be one of this world.
    func fit(_ configuration: inout ServerConfiguration)
    /// Whether an hour is over at once.
    var timeIsFree: Bool { get }
    /// Of the reactor's configuration.
    var receiveBufferSize: Int { get }
    /// The calls beside the ring, for bare descriptors; nil where nobody may have any.
    var calls: (any Kernel)? { get }
    /// A path at which there is nothing yet, for a socket or a file; nil where there are none.
    var scratchPath: String? { get }
    /// Where nobody answers, so that a connect waits; nil where there is no such address.
    func makeSilentAddress() -> SocketAddress?

    /// Runs the reactor until it is stopped.
    ///
    /// - Parameters:
    ///   - isStill: whether all is as it should be when nothing can happen any more. A world that cannot know that asks
    ///     this now and then, until it holds or far too long has passed.
    ///   - onStandstill: called when nothing can happen any more, to do what comes next: in the next turn, for now the
    ///     library must not be called. If there is nothing, it returns false, and the run has failed.
    func run(isStill: @escaping () -> Bool, onStandstill: @escaping () -> Bool) throws
    /// The reactor is about to be stopped: soon it must have ended.
    func expectEnd()

    /// What was wrong in this world's own eyes, so far.
    var failures: [String] { get }
    /// What it looks like, for messages.
    var state: String { get }
    /// What is left of a run that is over.
    func leftovers() -> [String]
    /// What is left of connections, when none is open.
    func connectionLeftovers() -> [String]
}

extension World {
    func fit(_ configuration: inout ServerConfiguration) {}
    var timeIsFree: Bool { false }
    var receiveBufferSize: Int { ReactorConfiguration().receiveBufferSize }
    var calls: (any Kernel)? { nil }
    var scratchPath: String? { nil }
    func makeSilentAddress() -> SocketAddress? { nil }
}

/// The far end of a connection: a script, and no code of the library's.
protocol FarEnd: AnyObject {
    var localAddress: SocketAddress { get }
    var remoteAddress: SocketAddress { get }
    /// Connected, or about to be, and not ended by either side's error nor by `close()` or `reset()`.
    var isOpen: Bool { get }
    /// The library's end came, and not an error.
    var sawEnd: Bool { get }
    /// Something that it sent cannot have arrived. What it then hears may be called an end: an error is told once.
    var hasFailedToSend: Bool { get }
    /// Bytes that found no room on their way yet.
    var unsent: Int { get }
    var onReceive: ((Bytes) -> Void)? { get set }
    /// The library's side has ended, or the connection has failed.
    var onEnd: (() -> Void)? { get set }

    func send(_ bytes: Bytes)
    /// Ends this side, after what was sent.
    func shutdown()
    func close()
    /// Breaks the connection: `ECONNRESET` for the library.
    func reset()
    func pauseReading()
    func resumeReading()
    /// Reads so many bytes at most, while it pauses.
    func read(upTo count: Int)
}
