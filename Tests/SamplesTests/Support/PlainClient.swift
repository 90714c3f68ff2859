import Glibc
import Testing

@testable import UringReactor

/// A plain blocking socket that is connected to a server, closed when this goes.
final class PlainClient {
    private var descriptor: Int32

    init(to address: SocketAddress) throws {
        descriptor = socket(address.family.number, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        try #require(descriptor >= 0, "socket(2): errno \(errno)")
        // A guard against hanging.
        setOption(SOL_SOCKET, SO_RCVTIMEO, timeval(tv_sec: 300, tv_usec: 0))
        setOption(Int32(IPPROTO_TCP), TCP_NODELAY, Int32(1))
        let status = unsafe address.withSockaddr { unsafe connect(descriptor, $0, $1) }
        try #require(status == 0, "connect(2): errno \(errno)")
    }

    deinit { close() }

    private func setOption<Value: BitwiseCopyable>(_ level: Int32, _ name: Int32, _ value: Value) {
        let status = unsafe withUnsafePointer(to: value) {
            unsafe setsockopt(descriptor, level, name, $0, socklen_t(MemoryLayout<Value>.size))
        }
        #expect(status == 0)
    }

    /// Sends what the kernel takes without waiting: a line or two.
    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        let count = unsafe Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        try #require(count == bytes.count, "send(2): errno \(errno)")
    }

    /// Waits until exactly these bytes have come.
    func expect(_ text: String) throws {
        var left = Array(text.utf8)
        while !left.isEmpty {
            var buffer = [UInt8](repeating: 0, count: left.count)
            let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
            try #require(count > 0 && left.starts(with: buffer[..<max(count, 0)]), "\(count), errno \(errno)")
            left.removeFirst(count)
        }
    }

    /// Waits for the end of what the server sends.
    func expectEnd() throws {
        var byte: UInt8 = 0
        let count = unsafe recv(descriptor, &byte, 1, 0)
        try #require(count == 0, "\(count), errno \(errno)")
    }

    /// What has come, without waiting; nil if nothing, empty at the end.
    func poll() throws -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = unsafe recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0, errno == EAGAIN { return nil }
        try #require(count >= 0, "recv(2): errno \(errno)")
        return Array(buffer[..<count])
    }

    func close() {
        guard descriptor >= 0 else { return }
        _ = Glibc.close(descriptor)
        descriptor = -1
    }

    /// Vanishes with an RST, which also leaves no port behind.
    func reset() {
        guard descriptor >= 0 else { return }
        setOption(SOL_SOCKET, SO_LINGER, linger(l_onoff: 1, l_linger: 0))
        close()
    }
}

/// How many descriptors this process may still open, about; raises the limit first.
func availableDescriptors() -> Int {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
    // What other tests use beside.
    return Int(clamping: limit.rlim_cur) - 500
}
