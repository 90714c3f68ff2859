/// What an operation does. Statistics count by it, errors name it.
public enum OperationKind: UInt8, Sendable, Hashable, CaseIterable {
    case noOperation
    case accept
    case connect
    case receive
    case send
    case shutdown
    case close
    case poll
    case timeout
    case cancel
    case open
    case read
    case write
    case synchronize
    case fileSize
    case wakeUp
    /// A ``Reactor/after(_:_:)`` or ``Reactor/every(_:_:)`` that the reactor keeps itself, without the kernel.
    case timer
    case bind
    case listen
    case socket

    /// As in "`send` failed": the verb of the operation.
    var verb: String {
        switch self {
        case .noOperation: "no-op"
        case .fileSize: "reading the size"
        case .synchronize: "fsync"
        case .wakeUp: "waking up"
        default: "\(self)"
        }
    }
}
