import SystemPackage

/// Drives a connection by callbacks: what has come waits here until somebody asks for it.
final class CallbackDriver: ConnectionDriver {
    /// In a struct, so that the closure is stored as it is.
    struct Waiting {
        enum Wish {
            /// Whatever there is, up to so many bytes.
            case any(Int)
            /// Exactly so many bytes.
            case exactly(Int)
            /// A line of at most so many bytes, without its ending.
            case line(limit: Int)
        }
        let wish: Wish
        let isTimed: Bool
        let body: (Result<Bytes?, IOError>) throws -> Void
    }

    private let table: UncountedReference<ConnectionTable>
    private var onConnect: ((Result<Connection, IOError>) throws -> Void)?
    private var onClose: [(CloseReason) throws -> Void] = []
    private var waiting: Waiting?
    /// What has come and was not asked for yet.
    private var current = Bytes()
    /// The beginning of a line, or of an exact number of bytes, whose rest has not come: each byte is copied once.
    private var assembly = BytesBuilder()
    private var hasEnded = false
    /// Why the connection has ended, once it has.
    private var closeReason: CloseReason?

    init(_ table: ConnectionTable, onConnect: ((Result<Connection, IOError>) throws -> Void)?) {
        self.table = UncountedReference(to: table)
        self.onConnect = onConnect
    }

    override var readsOnDemand: Bool { true }
    override var isWaiting: Bool { waiting != nil }

    override func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .opened:
            let callback = onConnect
            onConnect = nil
            try callback?(.success(connection))
        case .received(let bytes):
            // Something is here already only if the user turned reading on without asking for anything.
            if current.isEmpty {
                current = bytes
            } else {
                table.use { $0.noteCopied(current.count + bytes.count) }
                current = current + bytes
            }
            try proceed(connection)
        case .ended:
            hasEnded = true
            try proceed(connection)
        case .drained: break
        case .timedOut: return .close
        case .closed(let reason): try closed(reason, connection)
        }
        return .continue
    }

    override func resume(_ connection: Connection) throws -> NextStep {
        try proceed(connection)
        return .continue
    }

    override func receiveTimedOut(_ connection: Connection) throws -> NextStep {
        guard let waiting, waiting.isTimed else { return .continue }
        // What is here already is had even in no time.
        let answer = answer(to: waiting.wish, connection)
        self.waiting = nil
        keepAssembly()
        table.use { $0.pauseReading(connection) }
        try waiting.body(answer ?? .failure(IOError(.receive, .timedOut, target: "\(connection)")))
        return .continue
    }

    private func closed(_ reason: CloseReason, _ connection: Connection) throws {
        let (connect, receive, close) = (onConnect, waiting, onClose)
        (onConnect, waiting, onClose) = (nil, nil, [])
        closeReason = reason
        // All are called, whatever one of them throws.
        var firstError: (any Error)?
        func attempt(_ body: () throws -> Void) {
            do { try body() } catch { firstError = firstError ?? error }
        }
        if let connect { attempt { try connect(.failure(reason.asError(of: .connect, connection))) } }
        if let receive { attempt { try receive.body(.failure(reason.asError(of: .receive, connection))) } }
        for callback in close { attempt { try callback(reason) } }
        if let firstError { throw firstError }
    }

    // MARK: - Asking

    func receive(_ waiting: Waiting, timeout: Duration?, on connection: Connection) {
        guard self.waiting == nil else {
            let error = IOError(.receive, .alreadyInProcess, target: "\(connection)")
            return table.use { $0.later { try waiting.body(.failure(error)) } }
        }
        self.waiting = waiting
        if let timeout { table.use { $0.setReceiveDeadline(connection, after: timeout) } }
        if current.isEmpty, assembly.isEmpty, !hasEnded {
            table.use { $0.resumeReading(connection) }
        } else {
            // On a later turn, as all callbacks: however many lines there are, the stack does not grow.
            table.use { $0.makeReady(connection.slot) }
        }
    }

    func whenClosed(_ callback: @escaping (CloseReason) throws -> Void) {
        // From within a callback that was just told of the end.
        if let closeReason { return table.use { $0.later { try callback(closeReason) } } }
        onClose.append(callback)
    }

    // MARK: - Answering

    /// Answers who waits, if it can be; otherwise, and only then, goes on receiving.
    private func proceed(_ connection: Connection) throws {
        guard let waiting else { return table.use { $0.pauseReading(connection) } }
        guard let answer = answer(to: waiting.wish, connection) else {
            return table.use { $0.resumeReading(connection) }
        }
        self.waiting = nil
        if waiting.isTimed { table.use { $0.setReceiveDeadline(connection, after: nil) } }
        table.use { $0.pauseReading(connection) }
        try waiting.body(answer)
    }

    private func answer(to wish: Waiting.Wish, _ connection: Connection) -> Result<Bytes?, IOError>? {
        switch wish {
        case .any(let most):
            joinAssembly()
            if current.isEmpty { return hasEnded ? .success(nil) : nil }
            return .success(take(Swift.min(most, current.count)))
        case .exactly(let count):
            if assembly.count + current.count >= count {
                joinAssembly()
                return .success(take(count))
            }
        case .line(let limit):
            if let end = current.firstIndex(of: UInt8(ascii: "\n")) {
                let length = assembly.count + end
                let last = end > 0 ? current[end - 1] : assembly.last
                let ending = last == UInt8(ascii: "\r") ? 2 : 1
                guard length + 1 - ending <= limit else { return .failure(tooLong(connection)) }
                joinAssembly()
                return .success(take(length + 1).dropLast(ending))
            }
            // A carriage return may be the first half of the ending.
            guard assembly.count + current.count - 1 <= limit else { return .failure(tooLong(connection)) }
        }
        if hasEnded {
            keepAssembly()
            guard !current.isEmpty else { return .success(nil) }
            // What there is can still be had with a plain receive.
            return .failure(IOError(.receive, Errno(rawValue: 61 /* ENODATA */), target: "\(connection)"))
        }
        setAside()
        return nil
    }

    private func tooLong(_ connection: Connection) -> IOError {
        keepAssembly()
        return IOError(.receive, .messageTooLong, target: "\(connection)")
    }

    private func take(_ count: Int) -> Bytes {
        let taken = current.prefix(count)
        current = current.dropFirst(count)
        return taken
    }

    /// Puts the beginning that was set aside before what has come since.
    private func joinAssembly() {
        guard !assembly.isEmpty else { return }
        setAside()
        var whole = BytesBuilder()
        swap(&whole, &assembly)
        current = whole.freeze()
    }

    private func setAside() {
        table.use { $0.noteCopied(current.count) }
        assembly.append(current)
        current = Bytes()
    }

    private func keepAssembly() { joinAssembly() }
}

extension CloseReason {
    /// What a callback is told that was still waiting when its connection ended.
    func asError(of operation: OperationKind, _ connection: Connection) -> IOError {
        switch self {
        case .connectFailed(let error), .failed(let error): return error
        default:
            let errno: Errno =
                switch self {
                case .reset: .connectionReset
                case .brokenPipe: .brokenPipe
                case .idle, .deadline, .closeTimedOut, .writeTimedOut, .timedOut: .timedOut
                case .connectionAborted: .connectionAbort
                case .unreachable(let errno): errno
                case .slowConsumer: .noBufferSpace
                default: .canceled
                }
            return IOError(operation, errno, target: "\(connection)")
        }
    }
}
