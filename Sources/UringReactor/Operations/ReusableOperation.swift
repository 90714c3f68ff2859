public import SystemPackage

/// Bare descriptors as an explicit state machine: events in, the next operation out. No closure, and no allocation for an
/// event; the counterpart of ``ConnectionHandler`` for what is no connection.
///
/// The handler is a value of yours that lives as long as its operation. It is told once that it may begin, and from then on
/// of the end of each operation that it, or somebody else, has started:
///
/// ```swift
/// /// Adds up the bytes of a file, 64 KiB at a time.
/// struct Sum: OperationHandler {
///     let file: FileDescriptor
///     var (sum, offset) = (0, Int64(0))
///
///     mutating func handle(_ event: OperationEvent, of operation: ReusableOperation) throws {
///         switch event {
///         case .ready: break
///         case .bytes(let bytes) where bytes.isEmpty:
///             print(sum)
///             return operation.discard()
///         case .bytes(let bytes):
///             sum += bytes.reduce(0) { $0 + Int($1) }
///             offset += Int64(bytes.count)
///         case .failed(let error): throw error
///         default: break
///         }
///         operation.read(from: file, at: offset, upTo: 65_536)
///     }
/// }
///
/// try reactor.makeOperation(handler: Sum(file: file))
/// ```
public protocol OperationHandler {
    /// Handles one event, on the reactor's thread, never from within itself.
    ///
    /// - Throws: what is counted and reported (``ReactorReport/callbackThrew(_:operation:)``); the operation stays as it is.
    mutating func handle(_ event: OperationEvent, of operation: ReusableOperation) throws
}

/// What a handler of an operation is told.
public enum OperationEvent: Sendable {
    /// It may begin. The first event, and only once.
    case ready
    /// It has succeeded, and there is no more to say: no-op, connect, shutdown, close, a timeout that is over, fsync.
    case completed
    /// A send or a write: all of it, so many bytes. A size: so many bytes. A cancel: so many operations.
    case count(Int)
    /// An accept or an open; the descriptor is the handler's to close.
    case descriptor(FileDescriptor)
    /// A receive or a read; none at the end of the stream or the file.
    case bytes(Bytes)
    /// A poll: what the descriptor is ready for.
    case events(PollEvents)
    /// It has failed; `ECANCELED` if it was cancelled, or the reactor stops.
    case failed(IOError)
}

/// One operation at a time, started again and again: a handle of eight bytes.
///
/// Made by ``Reactor/makeOperation(handler:)``. While one of its operations is in flight no other may be started with it;
/// make several for several at once. A handle that was given up (``discard()``) must not be used any more, nor any handle
/// on another thread or where no reactor runs: that ends the process with a message.
///
/// It has no timeout of its own: let another one wait (``timeout(after:)``), and ``cancel()`` this one.
public struct ReusableOperation: Hashable, Sendable {
    /// Reactor (8 bits), generation (24 bits), slot (32 bits).
    private let rawValue: UInt64

    init(slot: UInt32, generation: UInt32, reactor: UInt8) {
        rawValue = UInt64(reactor) << 56 | UInt64(generation & OperationToken.generationMask) << 32 | UInt64(slot)
    }

    var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) & OperationToken.generationMask }

    @inline(__always)
    func use<Result>(_ body: (CallbackRegistry) throws -> Result) rethrows -> Result {
        guard let registry = CallbackRegistry.current else { ReusableOperation.usedElsewhere() }
        return try registry.use { registry in
            guard registry.reactorNumber == UInt8(truncatingIfNeeded: rawValue >> 56) else {
                ReusableOperation.usedElsewhere()
            }
            return try body(registry)
        }
    }

    /// Starts an operation; `fill` sets what is special about it in its slot.
    @inline(__always)
    func start(_ kind: OperationKind, on descriptor: Int32 = -1, _ fill: (inout CallbackSlot) -> Void = { _ in }) {
        use { $0.start(self, kind, on: descriptor, fill) }
    }

    @inline(never)
    private static func usedElsewhere() -> Never {
        fatalError(
            """
            A ReusableOperation was used outside of its reactor: on another thread, or while the reactor does not run. \
            Hand the work over with reactor.handle.post { … }.
            """)
    }

    @inline(never)
    static func cannotStart(isInFlight: Bool) -> Never {
        fatalError(
            isInFlight
                ? "A ReusableOperation was started that is in flight. Wait for its end, or make another one."
                : "A ReusableOperation was started that has been discarded. Its handler could never be told.")
    }
}

extension Reactor {
    /// Makes an operation that can be started again and again, and has its handler told on the next turn that it may begin.
    /// One of which nothing is in flight does not keep a reactor from being idle (``RunMode/untilIdle``). The handler is
    /// released with ``ReusableOperation/discard()``, or when the reactor has ended.
    ///
    /// - Throws: ``IOError`` with `ENOBUFS`, at the limit ``ReactorConfiguration/maximumOperations``.
    @discardableResult
    public func makeOperation(handler: some OperationHandler) throws(IOError) -> ReusableOperation {
        assertOwner()
        guard let operation = registry.makeReusable(OperationHandlerDriver(handler)) else {
            throw IOError(.nop, .noBufferSpace)
        }
        return operation
    }
}

extension ReusableOperation {
    /// Whether something is in flight.
    public var isInFlight: Bool { use { $0.isInFlight(self) } }

    /// Asks for the end of what is in flight: the handler is told as of any other, `ECANCELED` or, if it was faster, its
    /// result.
    ///
    /// - Returns: whether there was something to cancel.
    @discardableResult
    public func cancel() -> Bool { use { $0.cancel(self) } }

    /// Gives the operation up: what is in flight is cancelled, the handler is not told anything any more, and is released.
    /// More than once is harmless.
    public func discard() { use { $0.discard(self) } }
}

/// What an operation is driven by. A class, so that operations can have handlers of many types at the cost of one indirect
/// call.
@usableFromInline
class OperationDriver {
    @usableFromInline
    init() {}

    @usableFromInline
    func handle(_ event: OperationEvent, of operation: ReusableOperation) throws { fatalError("abstract") }
}

@usableFromInline
final class OperationHandlerDriver<Handler: OperationHandler>: OperationDriver {
    // Unchecked: only the registry calls handlers, and never one from within a call it makes itself.
    @usableFromInline
    @exclusivity(unchecked) var handler: Handler

    @inlinable
    init(_ handler: Handler) {
        unsafe self.handler = handler
        super.init()
    }

    @inlinable
    override func handle(_ event: OperationEvent, of operation: ReusableOperation) throws {
        try unsafe handler.handle(event, of: operation)
    }
}

extension OperationEvent {
    @inline(__always)
    init(_ outcome: Result<Int, IOError>, _ kind: OperationKind) {
        switch outcome {
        case .failure(let error): self = .failed(error)
        case .success(let value):
            switch kind {
            case .send, .write, .fileSize, .cancel: self = .count(value)
            case .accept, .open: self = .descriptor(FileDescriptor(rawValue: Int32(truncatingIfNeeded: value)))
            case .poll: self = .events(PollEvents(rawValue: UInt32(truncatingIfNeeded: value)))
            case .timer: self = .ready
            default: self = .completed
            }
        }
    }

    init(_ received: Result<Bytes, IOError>) {
        switch received {
        case .success(let bytes): self = .bytes(bytes)
        case .failure(let error): self = .failed(error)
        }
    }
}
