/// What an operation does. Statistics count by it, errors name it.
public enum OperationKind: UInt8, Sendable, Hashable, CaseIterable {
    /// ``Reactor/nop(_:)``.
    case nop
    /// Waiting for connections on a listening socket, one or many: accept(2).
    case accept
    /// connect(2), of a bare socket or a ``Connection``.
    case connect
    /// recv(2), of a bare socket or a ``Connection``.
    case receive
    /// send(2) or sendmsg(2), of a bare socket or a ``Connection``.
    case send
    /// shutdown(2). Connections end their sending without it, by a call of their own.
    case shutdown
    /// close(2).
    case close
    /// poll(2), once or many times.
    case poll
    /// A timeout in the kernel: ``Reactor/timeout(after:_:)``, or ``Reactor/every(_:_:)`` where the kernel can.
    case timeout
    /// Asking for the end of other operations: io_uring_prep_cancel(3).
    case cancel
    /// openat(2).
    case open
    /// read(2) or pread(2).
    case read
    /// write(2) or pwrite(2).
    case write
    /// fsync(2) or fdatasync(2).
    case fsync
    /// The size of a file, by statx(2).
    case fileSize
    /// The reactor's poll for ``ReactorHandle/post(_:)``.
    case wakeUp
    /// A ``Reactor/after(_:_:)`` or ``Reactor/every(_:_:)`` that the reactor keeps itself, without the kernel.
    case timer
    /// bind(2), by a plain system call: only errors name it.
    case bind
    /// listen(2), likewise.
    case listen
    /// socket(2) and setsockopt(2), likewise.
    case socket

    /// As in "`send` failed": the verb of the operation.
    var verb: String {
        switch self {
        case .nop: "no-op"
        case .fileSize: "reading the size"
        case .fsync: "fsync"
        case .wakeUp: "waking up"
        default: "\(self)"
        }
    }
}
