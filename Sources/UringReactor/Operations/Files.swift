import CLiburing
public import SystemPackage

/// Operations on files, with callbacks; see the general rules at the operations on sockets. On most file systems the
/// kernel hands them to a worker thread when they would wait for a disk.
extension Reactor {
    /// Opens a file: openat(2), relative to the working directory, close-on-exec. The descriptor is the callback's, to
    /// close.
    ///
    /// - Parameter permissions: of a file that is created, less the process's umask; `0644` by default.
    @discardableResult
    public func open(
        _ path: FilePath, _ mode: FileDescriptor.AccessMode, options: FileDescriptor.OpenOptions = [],
        permissions: FilePermissions = [.ownerReadWrite, .groupRead, .otherRead], timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<FileDescriptor, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.open, on: -1, timeout: timeout, .descriptor(consume callback)) {
            $0.attachment = PathMemory(path)
            $0.arguments.tv_sec = Int64(mode.rawValue | options.union(.closeOnExec).rawValue)
            $0.arguments.tv_nsec = Int64(permissions.rawValue)
        }
    }

    /// Reads up to `most` bytes at `offset`, or, without one, at the file's own position, which moves on: pread(2),
    /// read(2). Fewer at the end of the file, none behind it.
    ///
    /// - Parameter most: at least 1, at most 2³¹ − 1. Memory for all of them is allocated for this read alone.
    @discardableResult
    public func read(
        from file: FileDescriptor, at offset: Int64? = nil, upTo most: Int, timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<Bytes, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        precondition(most > 0 && most <= Int(Int32.max), "a read of \(most) bytes")
        return registry.start(.read, on: file.rawValue, timeout: timeout, .bytes(consume callback)) {
            $0.attachment = OwnBuffer(capacity: most)
            $0.arguments.tv_sec = offset ?? -1
            $0.arguments.tv_nsec = Int64(most)
        }
    }

    /// Writes all of `bytes` at `offset`, or, without one, at the file's own position: pwrite(2), write(2), again after
    /// short writes until nothing is left. The callback gets their number.
    ///
    /// For files and pipes. On a socket use ``send(_:to:timeout:_:)-(Bytes,_,_,_)``: a write to a closed connection
    /// raises SIGPIPE.
    @discardableResult
    public func write(
        _ bytes: Bytes, to file: FileDescriptor, at offset: Int64? = nil, timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<Int, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.write, on: file.rawValue, timeout: timeout, .count(consume callback)) {
            $0.bytes = bytes
            $0.arguments.tv_sec = offset ?? -1
        }
    }

    /// Waits until what was written is on the disk: fsync(2), or fdatasync(2), which leaves out times and such.
    @discardableResult
    public func fsync(
        _ file: FileDescriptor, dataOnly: Bool = false, timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<Void, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.fsync, on: file.rawValue, timeout: timeout, .status(consume callback)) {
            $0.arguments.tv_nsec = dataOnly ? Int64(IORING_FSYNC_DATASYNC) : 0
        }
    }

    /// The size of a file in bytes: statx(2).
    @discardableResult
    public func size(
        of file: FileDescriptor, timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<Int, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.fileSize, on: file.rawValue, timeout: timeout, .count(consume callback)) {
            $0.attachment = FileStatus()
        }
    }
}
