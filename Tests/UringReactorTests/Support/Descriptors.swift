import Glibc
import SystemPackage

@testable import UringReactor

/// Both ends of a pipe(2), closed when this goes.
final class Pipe {
    let reader: FileDescriptor
    let writer: FileDescriptor

    init() throws { (reader, writer) = try FileDescriptor.pipe() }

    /// Closes the writing end early. Once: by the second time its number may be that of somebody else's descriptor.
    func closeWriter() throws {
        writerIsClosed = true
        try writer.close()
    }
    private var writerIsClosed = false

    deinit {
        try? reader.close()
        if !writerIsClosed { try? writer.close() }
    }

    /// Makes the pipe as small as may be, one page, and returns its size.
    @discardableResult
    func shrink() -> Int { Int(fcntl(writer.rawValue, 1031 /* F_SETPIPE_SZ */, 4096)) }
}

/// Two connected stream sockets, closed when this goes.
final class SocketPair {
    let left: FileDescriptor
    let right: FileDescriptor

    /// - Parameter buffer: bytes of the send buffers, as `SO_SNDBUF`.
    init(buffer: Int? = nil) throws {
        var pair: [Int32] = [-1, -1]
        guard unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else { throw Errno(rawValue: errno) }
        (left, right) = (FileDescriptor(rawValue: pair[0]), FileDescriptor(rawValue: pair[1]))
        guard let buffer else { return }
        for end in [left, right] { try IOUringKernel().setOption(.sendBuffer, to: buffer, on: end) }
    }

    /// Closes the right end early, and once.
    func closeRight() throws {
        rightIsClosed = true
        try right.close()
    }
    private var rightIsClosed = false

    deinit {
        try? left.close()
        if !rightIsClosed { try? right.close() }
    }
}

/// A socket that listens on a port of the loopback, closed when this goes.
final class Listener {
    let socket: FileDescriptor
    let address: SocketAddress

    init(backlog: Int = 128) throws {
        let kernel = IOUringKernel()
        socket = try kernel.socket(.ipv4)
        try kernel.bind(socket, to: .loopback())
        try kernel.listen(socket, backlog: backlog)
        address = try kernel.localAddress(of: socket)
    }

    /// A blocking connect(2) of a new socket.
    func connect() throws -> FileDescriptor {
        let client = try IOUringKernel().socket(.ipv4)
        let status = unsafe address.withSockaddr { unsafe Glibc.connect(client.rawValue, $0, $1) }
        guard status == 0 else { throw Errno(rawValue: errno) }
        return client
    }

    deinit { try? socket.close() }
}

/// A file of its own, removed when this goes.
final class TemporaryFile {
    let path: FilePath

    init(_ contents: String = "") throws {
        var template = Array("/tmp/uring-reactor-XXXXXX".utf8CString)
        let descriptor = FileDescriptor(rawValue: unsafe mkstemp(&template))
        path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
        try descriptor.closeAfter { _ = try descriptor.writeAll(contents.utf8) }
    }

    func open(_ mode: FileDescriptor.AccessMode = .readWrite) throws -> FileDescriptor { try .open(path, mode) }

    deinit { _ = unsafe path.withPlatformString { unsafe unlink($0) } }
}

/// The eventfd(2) of a real waker, as something that becomes readable on demand.
func eventDescriptor() throws -> any Waker { try IOUringKernel().makeWaker() }
