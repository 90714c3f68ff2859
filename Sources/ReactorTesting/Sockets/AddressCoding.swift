import Glibc
import UringReactor

/// Addresses as system calls have them, to and from `SocketAddress`.
enum AddressCoding {
    /// The `sockaddr` at `address`, or nil for a family that is not ours.
    static func decode(at address: UInt64, length: Int) -> SocketAddress? {
        unsafe SocketAddress(UnsafePointer<sockaddr>(bitPattern: UInt(address)), length: length)
    }

    /// The bytes of the `sockaddr`, as accept(2) hands them out.
    static func encode(_ address: SocketAddress) -> [UInt8] {
        unsafe address.withSockaddr { unsafe Array(UnsafeRawBufferPointer(start: $0, count: Int($1))) }
    }

    /// The address of a Unix socket that has none.
    static var unnamed: SocketAddress { .unnamed }
}
