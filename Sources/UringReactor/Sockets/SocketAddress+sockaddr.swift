import Glibc

extension SocketAddress.InlineBytes16 {
    init(_ address: in6_addr) {
        self = unsafe withUnsafeBytes(of: address) { bytes in
            unsafe Self(
                high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    var in6: in6_addr {
        var address = in6_addr()
        unsafe withUnsafeMutableBytes(of: &address) { bytes in
            unsafe bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
            unsafe bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return address
    }
}

extension SocketAddress {
    /// The address of a Unix socket that has none, such as the connecting end of a connection: unix(7).
    package static let unnamed = SocketAddress(storage: .unix(path: ""))

    /// What the kernel wrote, or nil for a family that is not ours.
    package init?(_ address: UnsafePointer<sockaddr>?, length: Int) {
        guard let address = unsafe address, length >= MemoryLayout<sa_family_t>.size else { return nil }
        let raw = unsafe UnsafeRawPointer(address)
        switch Int32(unsafe address.pointee.sa_family) {
        case AF_INET where length >= MemoryLayout<sockaddr_in>.size:
            let v4 = unsafe raw.loadUnaligned(as: sockaddr_in.self)
            storage = .ipv4(InlineBytes4(value: UInt32(bigEndian: v4.sin_addr.s_addr)), port: UInt16(bigEndian: v4.sin_port))
        case AF_INET6 where length >= MemoryLayout<sockaddr_in6>.size:
            let v6 = unsafe raw.loadUnaligned(as: sockaddr_in6.self)
            storage = unsafe .ipv6(
                InlineBytes16(v6.sin6_addr), port: UInt16(bigEndian: v6.sin6_port), scope: v6.sin6_scope_id)
        case AF_UNIX:
            // The path may fill sun_path without a zero, and is missing for an unnamed end: unix(7).
            let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
            let path = unsafe UnsafeRawBufferPointer(start: raw + offset, count: max(0, length - offset))
            storage = .unix(path: unsafe String(decoding: path.prefix { $0 != 0 }, as: UTF8.self))
        default: return nil
        }
    }

    /// Calls `body` with the address as the kernel wants it.
    package func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        unsafe withUnsafeTemporaryAllocation(
            byteCount: MemoryLayout<sockaddr_storage>.size, alignment: MemoryLayout<sockaddr_storage>.alignment
        ) { memory in
            let length = unsafe write(to: memory)
            let start = unsafe memory.baseAddress!.assumingMemoryBound(to: sockaddr.self)
            return unsafe body(start, length)
        }
    }

    /// Writes the address into `memory`, which is as large as a `sockaddr_storage`, and returns its length.
    func write(to memory: UnsafeMutableRawBufferPointer) -> socklen_t {
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
        switch storage {
        case .ipv4(let bytes, let port):
            var v4 = sockaddr_in()
            v4.sin_family = sa_family_t(AF_INET)
            v4.sin_port = port.bigEndian
            v4.sin_addr.s_addr = bytes.value.bigEndian
            unsafe memory.storeBytes(of: v4, as: sockaddr_in.self)
            return socklen_t(MemoryLayout<sockaddr_in>.size)
        case .ipv6(let bytes, let port, let scope):
            var v6 = sockaddr_in6()
            v6.sin6_family = sa_family_t(AF_INET6)
            v6.sin6_port = port.bigEndian
            v6.sin6_addr = bytes.in6
            v6.sin6_scope_id = scope
            unsafe memory.storeBytes(of: v6, as: sockaddr_in6.self)
            return socklen_t(MemoryLayout<sockaddr_in6>.size)
        case .unix(let path):
            let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
            unsafe memory.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
            for (position, byte) in path.utf8.enumerated() { unsafe memory[offset + position] = byte }
            return socklen_t(offset + path.utf8.count + 1)
        }
    }
}

extension AddressFamily {
    /// `AF_…`
    var number: Int32 {
        switch self {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        case .unix: AF_UNIX
        }
    }
}
