public import SystemPackage

/// An operation that failed: what, on what, and why.
public struct IOError: Error, Sendable, Hashable {
    /// What failed.
    public let operation: OperationKind
    /// Why: the kernel's errno, or one the library chose.
    ///
    /// `ECANCELED`: cancelled, or the reactor stopped. `ETIMEDOUT`: the operation's own timeout ran out. `ENOBUFS`: a
    /// limit on operations, connections or pending bytes was reached. `EIO`: a file took a part and then nothing more.
    /// Of connections with callbacks: `ENODATA`, the end in the middle of what was asked for; `EMSGSIZE`, a line over
    /// its limit; `EALREADY`, two receives at once; `ENOTCONN` and `EPIPE`, no longer open.
    public let errno: Errno
    private let number: Int32
    private let detail: Detail?

    /// The descriptor it was on, if there was one.
    public var descriptor: FileDescriptor? { number >= 0 ? FileDescriptor(rawValue: number) : nil }
    /// The address or path it was about, if there was one.
    public var target: String? { detail?.target }

    /// What few errors have, out of line: every result has room for an error, and is moved about for each operation.
    private final class Detail: Sendable, Hashable {
        let target: String
        init(_ target: String) { self.target = target }
        static func == (one: Detail, other: Detail) -> Bool { one.target == other.target }
        func hash(into hasher: inout Hasher) { hasher.combine(target) }
    }

    /// An error of your own making, for a test or a layer above.
    public init(_ operation: OperationKind, _ errno: Errno, descriptor: FileDescriptor? = nil, target: String? = nil) {
        self.operation = operation
        self.errno = errno
        number = descriptor?.rawValue ?? -1
        detail = target.map(Detail.init)
    }

    /// The operation was cancelled, by whoever held its token or by the end of the reactor: `ECANCELED`.
    public var isCancelled: Bool { errno == .canceled }
    /// The operation's own timeout, or the network's, ran out: `ETIMEDOUT`.
    public var isTimeout: Bool { errno == .timedOut }
}

extension IOError: CustomStringConvertible {
    /// For example `connect to 127.0.0.1:7000 failed: nobody listens there (ECONNREFUSED)`.
    public var description: String {
        var place = ""
        if let target {
            place = " \(preposition) \(target)"
        } else if let descriptor {
            place = " \(preposition) descriptor \(descriptor.rawValue)"
        }
        return "\(operation.verb)\(place) failed: \(reason) (\(ErrnoName.of(errno)))"
    }

    private var preposition: String {
        switch operation {
        case .connect, .send, .write, .bind: "to"
        case .receive, .read: "from"
        case .fileSize, .open: "of"
        default: "on"
        }
    }

    /// What a person can do something about; strerror(3) for the rest.
    private var reason: String {
        switch (operation, errno) {
        case (_, .canceled): "it was cancelled"
        case (.connect, .timedOut): "no answer in time"
        case (_, .timedOut): "it did not finish in time"
        case (.connect, .connectionRefused): "nobody listens there"
        case (.connect, .noSuchFileOrDirectory): "there is no such socket"
        case (.connect, .addressNotAvailable): "no local port is left, or the address is not of this machine"
        case (.bind, .addressInUse): "the address is taken; another server may be running"
        case (.bind, .addressNotAvailable): "the address is not of this machine"
        case (.bind, .permissionDenied): "not allowed; ports below 1024 need CAP_NET_BIND_SERVICE"
        case (.send, .brokenPipe): "the connection is closed for sending"
        case (_, .connectionReset): "the peer reset the connection"
        case (_, .connectionAbort): "the connection was aborted"
        case (_, .tooManyOpenFiles): "this process has no descriptor left; raise ulimit -n"
        case (_, .tooManyOpenFilesInSystem): "the system has no descriptor left; raise fs.file-max"
        case (_, .badFileDescriptor): "it is not an open descriptor"
        case (_, .notSocket): "it is not a socket"
        case (.send, .socketNotConnected), (.receive, .socketNotConnected): "it is not connected"
        case (_, .noBufferSpace): "no buffer or operation slot is left"
        case (.receive, .messageTooLong): "the line is longer than its limit"
        case (.receive, .alreadyInProcess): "another receive waits already"
        default: "\(errno)"
        }
    }
}
