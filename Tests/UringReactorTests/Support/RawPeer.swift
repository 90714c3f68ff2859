import Glibc
import Testing

@testable import UringReactor

/// The other end of a connection: a plain blocking socket, so that what the peer does is what the test says.
///
/// Loopback needs no second thread for most of it: the kernel completes a connect by itself, and takes what fits into
/// its buffers.
final class RawPeer {
    private(set) var descriptor: Int32

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Connects to `address`.
    ///
    /// - Parameter receiveBuffer: `SO_RCVBUF`, to be a peer that takes little.
    convenience init(to address: SocketAddress, receiveBuffer: Int32? = nil) throws {
        self.init(descriptor: socket(address.family.number, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        try #require(descriptor >= 0, "socket(2): errno \(errno)")
        if let receiveBuffer { setOption(SOL_SOCKET, SO_RCVBUF, receiveBuffer) }
        let status = unsafe address.withSockaddr { unsafe connect(descriptor, $0, $1) }
        try #require(status == 0, "connect(2): errno \(errno)")
    }

    deinit { close() }

    func setOption(_ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        #expect(unsafe setsockopt(descriptor, level, name, &value, 4) == 0)
    }

    /// Sends all of it; blocks while the kernel takes no more.
    @discardableResult
    func send(_ bytes: some Collection<UInt8>) -> Bool {
        let bytes = Array(bytes)
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { memory in
                unsafe Glibc.send(descriptor, memory.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(text.utf8) }

    /// What one recv(2) gives; nil for an error, which ``lastError`` tells.
    func receive(upTo most: Int = 65536, waits: Bool = true) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: most)
        let flags = waits ? 0 : Int32(MSG_DONTWAIT)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, most, flags) }
        lastError = count < 0 ? errno : 0
        guard count >= 0 else { return nil }
        return Array(buffer[..<count])
    }

    /// The errno of the last receive, or 0.
    private(set) var lastError: Int32 = 0

    /// All that comes until the end, or until an error.
    func receiveAll(waits: Bool = true) -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = receive(waits: waits), !bytes.isEmpty { all += bytes }
        return all
    }

    func receiveText() -> String { String(decoding: receiveAll(), as: UTF8.self) }

    /// Exactly so many bytes, or fewer at the end.
    func receive(exactly count: Int) -> [UInt8] {
        var all: [UInt8] = []
        while all.count < count, let bytes = receive(upTo: count - all.count), !bytes.isEmpty { all += bytes }
        return all
    }

    /// A half-close: FIN, and reads on.
    func shutdownSending() { #expect(shutdown(descriptor, Int32(SHUT_WR)) == 0) }

    func close() {
        guard descriptor >= 0 else { return }
        _ = Glibc.close(descriptor)
        descriptor = -1
    }

    /// Vanishes with an RST.
    func reset() {
        guard descriptor >= 0 else { return }
        var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
        let size = socklen_t(MemoryLayout<Glibc.linger>.size)
        #expect(unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, size) == 0)
        close()
    }
}

/// A plain listening socket, for clients of the library whose server has to behave as the test says.
final class RawListener {
    let descriptor: Int32
    let address: SocketAddress

    init(on address: SocketAddress = .loopback(), backlog: Int32 = 16, receiveBuffer: Int32? = nil) throws {
        let kernel = IOUringKernel()
        let socket = try kernel.socket(address.family)
        if let receiveBuffer { try kernel.setOption(.receiveBuffer, to: Int(receiveBuffer), on: socket) }
        try kernel.bind(socket, to: address)
        try kernel.listen(socket, backlog: Int(backlog))
        descriptor = socket.rawValue
        self.address = try kernel.localAddress(of: socket)
    }

    deinit { close(descriptor) }

    /// Waits for the next connection.
    func accept() -> RawPeer { RawPeer(descriptor: Glibc.accept(descriptor, nil, nil)) }
}
