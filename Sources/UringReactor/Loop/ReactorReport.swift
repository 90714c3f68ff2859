import SystemPackage

/// Something that went wrong and has no callback to go to.
public enum ReactorReport: Sendable, CustomStringConvertible {
    /// A callback of an operation threw. The loop goes on.
    case callbackThrew(any Error, operation: OperationKind)
    /// Work given to ``ReactorHandle/post(_:)``, ``Reactor/after(_:_:)`` or ``Reactor/every(_:_:)`` threw; or, with an
    /// ``IOError`` of ``OperationKind/timer`` and `ENOBUFS`, there was no place for the timer and it will not fire.
    case jobThrew(any Error)
    /// A handler, or a callback of a connection, threw. The connection is closed with ``CloseReason/handlerFailed``.
    case handlerThrew(any Error, connection: Connection)
    /// A server cannot accept for the moment and tries again after a pause; said once until it can.
    case acceptPaused(IOError)
    /// A server can accept again.
    case acceptResumed(after: Duration)
    /// A server cannot accept any more.
    case acceptFailed(IOError)

    public var description: String {
        switch self {
        case .callbackThrew(let error, let operation): "the callback of a \(operation.verb) threw: \(error)"
        case .jobThrew(let error): "a job threw: \(error)"
        case .handlerThrew(let error, let connection): "the handler of \(connection) threw, closing it: \(error)"
        case .acceptPaused(let error): "\(error); trying again until it works"
        case .acceptResumed(let pause): "accepting again after \(pause)"
        case .acceptFailed(let error): "\(error); this server accepts no more connections"
        }
    }

    func print() {
        let line = "UringReactor: \(self)\n"
        _ = try? FileDescriptor.standardError.writeAll(line.utf8)
    }
}
