import Glibc
import SystemPackage
import Testing

@testable import UringReactor

@Suite struct SocketAddressTests {
    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1:80"), ("0.0.0.0", "0.0.0.0:80"), ("255.255.255.255", "255.255.255.255:80"),
        ("::1", "[::1]:80"), ("[::1]", "[::1]:80"), ("::", "[::]:80"),
        ("2001:db8::ff00:42:8329", "[2001:db8::ff00:42:8329]:80"),
        ("fe80::1%1", "[fe80::1%1]:80"), ("fe80::1%lo", "[fe80::1%1]:80"), ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]:80"),
    ])
    func parsesAndPrints(host: String, printed: String) throws {
        let address = try SocketAddress(host: host, port: 80)
        #expect("\(address)" == printed)
        #expect(address.port == 80 && address.path == nil)
        #expect(try SocketAddress(host: address.host!, port: 80) == address)
    }

    @Test(arguments: [
        "localhost", "", "1.2.3", "1.2.3.4.5", "256.0.0.1", "::1::", "[::1", ":::", "127.0.0.1 ", "127.0.0.1\u{0}x",
        "fe80::1%nosuchif", "fe80::1%0",
    ])
    func refuses(host: String) {
        #expect(throws: InvalidAddress.self) { try SocketAddress(host: host, port: 1) }
    }

    @Test func errorsSayWhy() {
        #expect(throws: InvalidAddress(
            description: "localhost is not a numeric IPv4 or IPv6 address (SocketAddress.resolve looks names up)")
        ) { try SocketAddress(host: "localhost", port: 1) }
        #expect(throws: InvalidAddress(description: "a host must not contain a zero byte")) {
            try SocketAddress.resolve(host: "127.0.0.1\u{0}.example", port: 1)
        }
        #expect(throws: InvalidAddress(description: "fe80::1%nosuchif: there is no network interface nosuchif")) {
            try SocketAddress(host: "fe80::1%nosuchif", port: 1)
        }
    }

    @Test func wellKnown() {
        #expect(SocketAddress.loopback(port: 7).description == "127.0.0.1:7")
        #expect(SocketAddress.loopbackV6(port: 7).description == "[::1]:7")
        #expect(SocketAddress.any(port: 7).description == "0.0.0.0:7")
        #expect(SocketAddress.anyV6(port: 7).description == "[::]:7")
        #expect(SocketAddress.loopback(port: 7).with(port: 8) == .loopback(port: 8))
        #expect(SocketAddress.loopbackV6(port: 7).with(port: 8) == .loopbackV6(port: 8))
        #expect([SocketAddress.any(), .anyV6()].map(\.family) == [.ipv4, .ipv6])
    }

    @Test func unixPaths() throws {
        let longest = String(repeating: "x", count: SocketAddress.longestUnixPath)
        let address = try SocketAddress.unix(path: longest)
        #expect(address.path == longest && address.family == .unix && address.port == nil && address.host == nil)
        #expect("\(address)" == "unix:\(longest)")
        #expect(address.with(port: 1) == address)
        #expect(unsafe address.withSockaddr { unsafe SocketAddress($0, length: Int($1)) } == address)
        #expect(throws: InvalidAddress.self) { try SocketAddress.unix(path: longest + "x") }
        #expect(throws: InvalidAddress.self) { try SocketAddress.unix(path: "") }
        #expect(throws: InvalidAddress.self) { try SocketAddress.unix(path: "a\u{0}b") }
    }

    @Test func resolves() throws {
        #expect(try SocketAddress.resolve(host: "127.0.0.1", port: 9) == [.loopback(port: 9)])
        #expect(try SocketAddress.resolve(host: "::1", port: 9) == [.loopbackV6(port: 9)])
        #expect(throws: InvalidAddress.self) { try SocketAddress.resolve(host: "no such host", port: 9) }
    }

    /// What the kernel was told is what it says.
    @Test(arguments: [SocketAddress.loopback(), .loopbackV6(), .any(), .anyV6()])
    func throughBindAndBack(address: SocketAddress) throws {
        let kernel = IOUringKernel()
        let socket = try kernel.socket(address.family)
        defer { kernel.close(socket) }
        try kernel.bind(socket, to: address)
        let bound = try kernel.localAddress(of: socket)
        #expect(bound.port != 0)
        #expect(bound.with(port: 0) == address)
    }

    @Test func throughBindAndBackForUnix() throws {
        let kernel = IOUringKernel()
        let path = "/tmp/uring-reactor-\(getpid())-\(UInt32.random(in: 0...(.max)))"
        let address = try SocketAddress.unix(path: path)
        let (socket, client) = (try kernel.socket(.unix), try kernel.socket(.unix))
        defer {
            kernel.close(socket)
            kernel.close(client)
        }
        try kernel.bind(socket, to: address)
        #expect(try kernel.localAddress(of: socket) == address)
        #expect("\(try kernel.localAddress(of: client))" == "unix:unnamed")
        try kernel.listen(socket, backlog: 1)
        #expect(throws: Errno.addressInUse) { try kernel.bind(client, to: address) }
        try kernel.unlink(path)
        try kernel.unlink(path)
        #expect(throws: Errno.socketNotConnected) { try kernel.remoteAddress(of: client) }
    }

    @Test func unknownFamiliesAreNone() {
        var address = sockaddr()
        address.sa_family = 99
        #expect(unsafe SocketAddress(&address, length: MemoryLayout<sockaddr>.size) == nil)
        #expect(unsafe SocketAddress(nil, length: 16) == nil)
        address.sa_family = sa_family_t(AF_INET)
        #expect(unsafe SocketAddress(&address, length: 4) == nil)
    }

    @Test func errnoNames() {
        #expect(ErrnoName.of(.connectionReset) == "ECONNRESET")
        #expect(ErrnoName.of(Errno(rawValue: 9999)) == "errno 9999")
    }
}
