import Glibc
import SystemPackage
import UringReactor

/// A plain socket that is used by system calls beside the library: none of them waits.
final class LinuxFarEnd: FarEnd {
    let localAddress: SocketAddress
    let remoteAddress: SocketAddress
    private(set) var hasFailedToSend = false
    /// How often something happened to it, for the world, which wants to know whether anything does.
    private(set) var moves: UInt64 = 0
    var onReceive: ((Bytes) -> Void)?
    var onEnd: (() -> Void)?

    /// -1 when it is closed, or has failed.
    private var descriptor: Int32
    private var hasSeenEnd = false
    private var outgoing: [UInt8] = []
    private var isReading = true
    private var endsWhenSent = false
    private var isPumping = false

    /// Of a connected socket, which is now its own.
    init(_ socket: FileDescriptor, local: SocketAddress, remote: SocketAddress) {
        descriptor = socket.rawValue
        localAddress = local
        remoteAddress = remote
    }

    deinit { release() }

    var isOpen: Bool { descriptor >= 0 }
    var sawEnd: Bool { hasSeenEnd && isOpen }
    var unsent: Int { outgoing.count }

    // MARK: - What a script does

    func send(_ bytes: Bytes) {
        guard isOpen else { return }
        outgoing.append(contentsOf: bytes)
        flush()
    }

    func shutdown() {
        endsWhenSent = true
        flush()
    }

    func close() {
        flush()
        release()
    }

    func reset() {
        guard isOpen else { return }
        var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        release()
    }

    func pauseReading() { isReading = false }

    func resumeReading() {
        isReading = true
        pump()
    }

    func read(upTo count: Int) {
        receive(upTo: count)
        lookForEnd()
    }

    /// Nothing calls back any more.
    func endScript() { (onReceive, onEnd) = (nil, nil) }

    // MARK: - The socket

    /// Moves what can move, and tells the script.
    func pump() {
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        flush()
        // Not without end, for the library is to have its turn.
        for _ in 0..<16 where isReading { guard receive(upTo: 1 << 16) else { break } }
        lookForEnd()
    }

    private func flush() {
        guard isOpen else { return }
        while !outgoing.isEmpty {
            let count = unsafe outgoing.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { return }
                // Nobody will read it. Whether that is an error shows when the script reads.
                hasFailedToSend = true
                outgoing = []
            } else {
                outgoing.removeFirst(count)
            }
            moves += 1
        }
        if endsWhenSent {
            endsWhenSent = false
            moves += 1
            _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
        }
    }

    /// - Returns: whether there may be more.
    @discardableResult
    private func receive(upTo limit: Int, flags: Int32 = 0) -> Bool {
        guard isOpen, !hasSeenEnd else { return false }
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { memory, count in
            repeat {
                count = unsafe recv(descriptor, memory.baseAddress, limit, Int32(MSG_DONTWAIT) | flags)
            } while count < 0 && errno == EINTR
            failure = count < 0 ? errno : 0
            count = max(0, count)
        }
        guard failure != EAGAIN else { return false }
        // A look at what is there changes nothing.
        if flags != 0, !bytes.isEmpty { return true }
        moves += 1
        if failure != 0 {
            release()
            onEnd?()
        } else if bytes.isEmpty {
            hasSeenEnd = true
            onEnd?()
        } else {
            onReceive?(Bytes(bytes))
        }
        return isOpen && !bytes.isEmpty
    }
    private var failure: Int32 = 0

    /// An end with nothing before it is seen by those that pause, too.
    private func lookForEnd() { receive(upTo: 1, flags: Int32(MSG_PEEK)) }

    private func release() {
        guard isOpen else { return }
        _ = Glibc.close(descriptor)
        descriptor = -1
        outgoing = []
        moves += 1
    }
}
