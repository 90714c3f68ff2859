import Glibc
public import UringReactor

/// Files by their paths. No directories: a path is only a name.
struct FileSystem {
    final class Node {
        var bytes: [UInt8] = []
        let inode: UInt64
        let isSocket: Bool

        init(inode: UInt64, isSocket: Bool) {
            self.inode = inode
            self.isSocket = isSocket
        }
    }

    private var nodes: [String: Node] = [:]
    private var nextInode: UInt64 = 1

    func exists(_ path: String) -> Bool { nodes[path] != nil }
    func node(_ path: String) -> Node? { nodes[path] }

    mutating func make(_ path: String, isSocket: Bool = false) -> Node {
        let node = Node(inode: nextInode, isSocket: isSocket)
        nextInode += 1
        nodes[path] = node
        return node
    }

    mutating func makeSocket(_ path: String) { _ = make(path, isSocket: true) }
    mutating func remove(_ path: String) { nodes[path] = nil }
}

/// A file that was opened.
final class RegularFile: OpenFile {
    let node: FileSystem.Node
    let isReadable: Bool
    let isWritable: Bool
    let appends: Bool
    var position = 0

    init(_ node: FileSystem.Node, flags: Int32, kernel: SimulatedKernel) {
        self.node = node
        isReadable = flags & O_ACCMODE != O_WRONLY
        isWritable = flags & O_ACCMODE != O_RDONLY
        appends = flags & O_APPEND != 0
        super.init(kernel: kernel)
    }

    // A file is always ready: poll(2).
    override var readiness: Readiness { [.readable, .writable] }
}

extension SimulatedKernel {
    /// Puts a file at `path`, over what was there.
    public func writeFile(_ bytes: Bytes, at path: String) {
        let node = fileSystem.node(path) ?? fileSystem.make(path)
        node.bytes = Array(bytes)
    }

    /// What the file at `path` holds, or nil if there is none.
    public func contents(of path: String) -> Bytes? {
        fileSystem.node(path).map { Bytes($0.bytes) }
    }

    func prepareFile(_ operation: Operation) -> Int32? {
        let submission = operation.submission
        guard submission.bufferIndex == 0, submission.fileIndex == 0 else { return EINVAL }
        switch submission.opcode {
        case .openat, .statx:
            guard let path = UserMemory.string(at: submission.address) else { return EFAULT }
            operation.path = path
            if submission.opcode == .statx {
                let target = MemoryRange(address: UInt(submission.offset), count: 256, isWritten: true)
                operation.segments = [target]
            }
        case .read, .write:
            guard submission.address != 0 || submission.length == 0 else { return EFAULT }
            operation.segments = [
                MemoryRange(
                    address: UInt(submission.address), count: Int(submission.length), isWritten: submission.opcode == .read)
            ]
        default: break
        }
        return nil
    }

    func openFile(_ operation: Operation) -> Outcome {
        guard let path = operation.path else { return .done(-EFAULT) }
        let flags = Int32(bitPattern: operation.submission.operationFlags)
        guard hasDescriptor else { return .done(-EMFILE) }
        if fileSystem.exists(path), flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL { return .done(-EEXIST) }
        guard let node = fileSystem.node(path) ?? (flags & O_CREAT != 0 ? fileSystem.make(path) : nil) else {
            return .done(-ENOENT)
        }
        guard !node.isSocket else { return .done(-ENXIO) }
        if flags & O_TRUNC != 0 { node.bytes = [] }
        return .done(install(RegularFile(node, flags: flags, kernel: self)))
    }

    func readFile(_ operation: Operation) -> Outcome {
        guard let file = operation.file as? RegularFile else {
            violation("a read that the simulator does not model: \(operation.submission)")
            return .done(-EINVAL)
        }
        guard file.isReadable else { return .done(-EBADF) }
        let isPositioned = operation.submission.offset != .max
        let start = isPositioned ? Int(clamping: operation.submission.offset) : file.position
        let most = max(0, min(operation.length, file.node.bytes.count - start))
        let (length, _) = portion(of: most, operation, faults.shortReceive)
        if length > 0 { write(file.node.bytes[start..<start + length], to: operation, from: 0) }
        if !isPositioned { file.position += length }
        return .done(Int32(length))
    }

    func writeFile(_ operation: Operation) -> Outcome {
        guard let file = operation.file as? RegularFile else {
            violation("a write that the simulator does not model: \(operation.submission)")
            return .done(-EINVAL)
        }
        guard file.isWritable else { return .done(-EBADF) }
        let isPositioned = operation.submission.offset != .max
        let start = file.appends
            ? file.node.bytes.count : isPositioned ? Int(clamping: operation.submission.offset) : file.position
        let (length, _) = portion(of: operation.length, operation, faults.shortSend)
        let bytes = UserMemory.read(operation.segments, from: 0, length: length)
        if file.node.bytes.count < start + length {
            file.node.bytes += [UInt8](repeating: 0, count: start + length - file.node.bytes.count)
        }
        file.node.bytes.replaceSubrange(start..<start + length, with: bytes)
        if !isPositioned { file.position = start + length }
        return .done(Int32(length))
    }

    /// statx(2): type and permissions, inode, size; what the simulator does not model is zero.
    func status(_ operation: Operation) -> Outcome {
        guard let path = operation.path else { return .done(-EFAULT) }
        let target = operation.submission.offset
        guard target != 0 else { return .done(-EFAULT) }
        var node = fileSystem.node(path)
        if path.isEmpty {
            guard operation.submission.operationFlags & UInt32(0x1000) != 0 else { return .done(-ENOENT) }
            guard let file = file(operation.submission.descriptor) else { return .done(-EBADF) }
            node = (file as? RegularFile)?.node
        }
        guard let node else { return .done(-ENOENT) }
        write([UInt8](repeating: 0, count: 256)[...], to: operation, from: 0)
        UserMemory.store(UInt32(0x7ff), at: target)
        UserMemory.store(UInt32(4096), at: target + 4)
        UserMemory.store(UInt32(1), at: target + 16)
        UserMemory.store(UInt16(node.isSocket ? 0o140_755 : 0o100_644), at: target + 28)
        UserMemory.store(node.inode, at: target + 32)
        UserMemory.store(UInt64(node.bytes.count), at: target + 40)
        UserMemory.store(UInt64((node.bytes.count + 511) / 512), at: target + 48)
        operation.heldMemory?.refresh(from: 0, length: 256)
        return .done(0)
    }
}
