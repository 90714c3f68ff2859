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
            // A file of /proc says that its size is 0: so the size is where to begin, not where to end.
            let size = try file.seek(offset: 0, from: .end)
            _ = try file.seek(offset: 0, from: .start)
            var builder = BytesBuilder(capacity: Int(clamping: Swift.min(size, Int64(clamping: limit))) + 1)
            while true {
                let before = builder.count
                try unsafe builder.append(upTo: Swift.max(builder.capacity - builder.count, 4096)) { memory in
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
