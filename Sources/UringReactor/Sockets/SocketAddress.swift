import CLiburing
import Glibc

/// The family of an address: `AF_INET`, `AF_INET6` or `AF_UNIX`.
public enum AddressFamily: Sendable, Hashable {
    /// `AF_INET`.
    case ipv4
    /// `AF_INET6`.
    case ipv6
    /// `AF_UNIX`.
    case unix
}

/// Where a stream socket listens or connects to.
///
/// Hosts are numeric: looking up a name blocks, so it is a step of its own, ``resolve(host:port:)``.
public struct SocketAddress: Sendable, Hashable {
    enum Storage: Hashable {
        /// The address in the order of its bytes, and the port as a number.
        case ipv4(InlineBytes4, port: UInt16)
        case ipv6(InlineBytes16, port: UInt16, scope: UInt32)
        case unix(path: String)
    }

    struct InlineBytes4: Hashable, Sendable { var value: UInt32 }
    struct InlineBytes16: Hashable, Sendable { var high: UInt64; var low: UInt64 }

    let storage: Storage
}

extension SocketAddress.Storage: Sendable {}

/// Why a text is no address.
public struct InvalidAddress: Error, CustomStringConvertible, Equatable {
    /// What is wrong with it, for people.
    public let description: String
}

extension SocketAddress {
    /// 127.0.0.1. Port 0 lets the kernel choose one.
    public static func loopback(port: UInt16 = 0) -> SocketAddress {
        SocketAddress(storage: .ipv4(InlineBytes4(value: 0x7f00_0001), port: port))
    }

    /// ::1. Port 0 lets the kernel choose one.
    public static func loopbackV6(port: UInt16 = 0) -> SocketAddress {
        SocketAddress(storage: .ipv6(InlineBytes16(high: 0, low: 1), port: port, scope: 0))
    }

    /// 0.0.0.0, every IPv4 address of this machine.
    public static func any(port: UInt16 = 0) -> SocketAddress {
        SocketAddress(storage: .ipv4(InlineBytes4(value: 0), port: port))
    }

    /// ::, every address of this machine, IPv4 too unless `IPV6_V6ONLY` is set.
    public static func anyV6(port: UInt16 = 0) -> SocketAddress {
        SocketAddress(storage: .ipv6(InlineBytes16(high: 0, low: 0), port: port, scope: 0))
    }

    /// The longest path of a Unix socket in bytes: unix(7), `sun_path` less its final zero.
    public static let longestUnixPath = 107

    /// A socket in the file system.
    ///
    /// - Throws: ``InvalidAddress`` for a path that is empty, longer than ``longestUnixPath``, or has a zero in it.
    public static func unix(path: String) throws(InvalidAddress) -> SocketAddress {
        let length = path.utf8.count
        guard length > 0, !path.utf8.contains(0) else {
            throw InvalidAddress(description: "a Unix socket's path must not be empty nor contain a zero byte")
        }
        guard length <= longestUnixPath else {
            throw InvalidAddress(
                description: "the path of a Unix socket has at most \(longestUnixPath) bytes, this one \(length): \(path)")
        }
        return SocketAddress(storage: .unix(path: path))
    }

    /// A numeric IPv4 or IPv6 address, `::1` as well as `[::1]`, with a scope (`fe80::1%eth0`, `%2`) if it has one.
    ///
    /// - Throws: ``InvalidAddress`` for anything else, names among them.
    public init(host: String, port: UInt16) throws(InvalidAddress) {
        // Would end the text early for the functions of C.
        guard !host.utf8.contains(0) else { throw InvalidAddress(description: "a host must not contain a zero byte") }
        var text = host
        if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
        var v4 = in_addr()
        if unsafe inet_pton(AF_INET, text, &v4) == 1 {
            self.init(storage: .ipv4(InlineBytes4(value: UInt32(bigEndian: v4.s_addr)), port: port))
            return
        }
        var scope: UInt32 = 0
        if let percent = text.firstIndex(of: "%") {
            let name = String(text[text.index(after: percent)...])
            scope = unsafe UInt32(name) ?? if_nametoindex(name)
            guard scope != 0 else {
                throw InvalidAddress(description: "\(host): there is no network interface \(name)")
            }
            text = String(text[..<percent])
        }
        var v6 = in6_addr()
        guard unsafe inet_pton(AF_INET6, text, &v6) == 1 else {
            throw InvalidAddress(
                description: "\(host) is not a numeric IPv4 or IPv6 address (SocketAddress.resolve looks names up)")
        }
        self.init(storage: .ipv6(InlineBytes16(v6), port: port, scope: scope))
    }

    /// The addresses of a host by name or number, in the order in which to try them: getaddrinfo(3).
    ///
    /// Blocks the thread, for seconds if a name server is slow: call it before the loop runs, or on another thread.
    ///
    /// - Throws: ``InvalidAddress`` with the resolver's reason.
    public static func resolve(host: String, port: UInt16) throws(InvalidAddress) -> [SocketAddress] {
        guard !host.utf8.contains(0) else { throw InvalidAddress(description: "a host must not contain a zero byte") }
        if let numeric = try? SocketAddress(host: host, port: port) { return [numeric] }
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(host, nil, &hints, &list)
        guard status == 0 else {
            throw InvalidAddress(description: "\(host): \(unsafe String(cString: gai_strerror(status)))")
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe SocketAddress(entry.pointee.ai_addr, length: Int(entry.pointee.ai_addrlen)) {
                addresses.append(address.with(port: port))
            }
            unsafe next = unsafe entry.pointee.ai_next
        }
        guard !addresses.isEmpty else { throw InvalidAddress(description: "\(host) has no IPv4 or IPv6 address") }
        return addresses
    }

    /// The family of the address.
    public var family: AddressFamily {
        switch storage {
        case .ipv4: .ipv4
        case .ipv6: .ipv6
        case .unix: .unix
        }
    }

    /// The port, or nil for a Unix socket.
    public var port: UInt16? {
        switch storage {
        case .ipv4(_, let port), .ipv6(_, let port, _): port
        case .unix: nil
        }
    }

    /// The host as a number, without brackets, or nil for a Unix socket.
    public var host: String? {
        switch storage {
        case .ipv4(let bytes, _):
            let value = bytes.value
            return "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
        case .ipv6(let bytes, _, let scope):
            var address = bytes.in6
            return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
                unsafe inet_ntop(AF_INET6, &address, text.baseAddress!, socklen_t(text.count))
                return unsafe String(cString: text.baseAddress!) + (scope == 0 ? "" : "%\(scope)")
            }
        case .unix: return nil
        }
    }

    /// The path of a Unix socket, or nil. Empty for the unnamed end of a connection.
    public var path: String? {
        if case .unix(let path) = storage { path } else { nil }
    }

    /// The same host with another port; a Unix address stays as it is.
    public func with(port: UInt16) -> SocketAddress {
        switch storage {
        case .ipv4(let bytes, _): SocketAddress(storage: .ipv4(bytes, port: port))
        case .ipv6(let bytes, _, let scope): SocketAddress(storage: .ipv6(bytes, port: port, scope: scope))
        case .unix: self
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `127.0.0.1:7000`, `[::1]:7000`, `unix:/run/server.sock`.
    public var description: String {
        switch storage {
        case .ipv4(_, let port): "\(host ?? ""):\(port)"
        case .ipv6(_, let port, _): "[\(host ?? "")]:\(port)"
        case .unix(let path): path.isEmpty ? "unix:unnamed" : "unix:\(path)"
        }
    }
}
