import Glibc
public import SystemPackage

extension Bytes {
    /// What is in a file, read at once: one allocation, one read. Waits for the disk, so not for a reactor's thread once it
    /// serves; ``Reactor/read(from:at:upTo:timeout:_:)`` is for that.
    ///
    /// - Parameters:
    ///   - path: a file that can be read to its end: a regular one, or one of `/proc`.
    ///   - limit: the most bytes to read; more in the file is an error, not cut.
    /// - Throws: ``IOError`` that names the path: what open(2), fstat(2) or read(2) failed with, or `EFBIG` beyond `limit`.
    public init(contentsOf path: FilePath, limit: Int = .max) throws(IOError) {
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
            defer { try? file.close() }
            var status = stat()
            guard unsafe fstat(file.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
            // A file of /proc says that its size is 0: so the size is where to begin, not where to end. One byte more finds
            // the end.
            let size = Swift.min(status.st_size, limit)
            var builder = BytesBuilder(capacity: size > 0 ? Swift.min(size, .max - 1) + 1 : 4096)
            while true {
                let before = builder.count
                let room = builder.capacity - before
                try unsafe builder.append(upTo: room > 0 ? room : before) { memory in
                    try unsafe file.read(into: memory)
                }
                if builder.count == before { break }
                guard builder.count <= limit else { throw Errno.fileTooLarge }
            }
            self = builder.freeze()
        } catch {
            throw IOError(.read, error as? Errno ?? .ioError, target: path.string)
        }
    }
}
