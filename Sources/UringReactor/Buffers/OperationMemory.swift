import CLiburing
import Glibc
import SystemPackage

/// An address where the kernel can read it.
@safe final class SocketAddressMemory {
    let address: SocketAddress
    let length: socklen_t
    let pointer: UnsafeMutablePointer<sockaddr>

    init(_ address: SocketAddress) {
        self.address = address
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: MemoryLayout<sockaddr_storage>.size, alignment: MemoryLayout<sockaddr_storage>.alignment)
        length = unsafe address.write(to: memory)
        unsafe pointer = memory.baseAddress!.assumingMemoryBound(to: sockaddr.self)
    }

    deinit { unsafe UnsafeMutableRawPointer(pointer).deallocate() }
}

/// A path where the kernel can read it.
@safe final class PathMemory {
    let path: FilePath
    let start: UnsafeMutablePointer<CChar>

    init(_ path: FilePath) {
        self.path = path
        // Not by way of a String: a name may be bytes that are no UTF-8.
        unsafe start = path.withPlatformString { unsafe strdup($0) }
    }

    deinit { unsafe free(start) }
}

/// What statx(2) writes.
@safe final class FileStatus {
    private let memory: UnsafeMutablePointer<statx>
    let emptyPath: UnsafeMutablePointer<CChar>

    init() {
        unsafe memory = .allocate(capacity: 1)
        unsafe memory.initialize(to: statx())
        unsafe emptyPath = .allocate(capacity: 1)
        unsafe emptyPath.initialize(to: 0)
    }

    deinit {
        unsafe memory.deallocate()
        unsafe emptyPath.deallocate()
    }

    var pointer: UnsafeMutablePointer<statx> { unsafe memory }
    var size: Int { unsafe Int(memory.pointee.stx_size) }
}

/// Memory for one receive or read that is too large for the pool, or of a file.
@safe final class OwnBuffer {
    let capacity: Int
    let start: UnsafeMutablePointer<UInt8>

    init(capacity: Int) {
        self.capacity = capacity
        unsafe start = .allocate(capacity: max(capacity, 1))
    }

    deinit { unsafe start.deallocate() }

    /// The first `count` bytes, which the kernel has filled.
    func slice(_ count: Int) -> Bytes {
        precondition(count >= 0 && count <= capacity, "\(count) bytes read into \(capacity)")
        return unsafe Bytes(owner: self, start: UnsafePointer(start), count: count)
    }
}

/// Several pieces that go out in one sendmsg(2): header and vector, at one address until the last completion, and the
/// pieces themselves if nobody else holds them.
@safe final class VectorBlock {
    /// The most pieces of one sendmsg(2): `UIO_MAXIOV`.
    static let mostPieces = 1024

    let capacity: Int
    let header: UnsafeMutablePointer<msghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    private var pieces: [Bytes] = []
    /// Pieces before this one have been sent.
    private var firstPiece = 0
    /// Bytes of all pieces.
    private(set) var total = 0

    init(capacity: Int) {
        self.capacity = min(capacity, VectorBlock.mostPieces)
        unsafe header = .allocate(capacity: 1)
        unsafe header.initialize(to: msghdr())
        unsafe vectors = .allocate(capacity: self.capacity)
        unsafe header.pointee.msg_iov = vectors
    }

    /// A block that holds `pieces`, however many: as many as one call takes are offered at a time.
    convenience init(holding pieces: [Bytes]) {
        self.init(capacity: max(pieces.count, 1))
        self.pieces = pieces
        total = pieces.reduce(0) { $0 + $1.count }
        fill(skipping: 0)
    }

    deinit {
        unsafe header.deallocate()
        unsafe vectors.deallocate()
    }

    /// Pieces in the vector as it is now.
    var count: Int { unsafe Int(header.pointee.msg_iovlen) }

    /// Bytes in the vector as it is now.
    private(set) var offered = 0

    /// Begins a new vector; `append` fills it.
    func removeAll() {
        unsafe header.pointee.msg_iovlen = 0
        offered = 0
    }

    /// Adds a piece, which somebody else keeps alive; false if the vector is full.
    func append(_ bytes: Bytes, skipping: Int = 0) -> Bool {
        let count = unsafe Int(header.pointee.msg_iovlen)
        guard count < capacity else { return false }
        let start = unsafe UnsafeMutableRawPointer(mutating: bytes.start + skipping)
        unsafe vectors[count] = iovec(iov_base: start, iov_len: bytes.count - skipping)
        unsafe header.pointee.msg_iovlen = count + 1
        offered += bytes.count - skipping
        return true
    }

    /// Drops the first `count` bytes of the pieces that are left; they have been sent.
    func advance(by count: Int) {
        var rest = count + partial
        while firstPiece < pieces.count, rest >= pieces[firstPiece].count {
            rest -= pieces[firstPiece].count
            firstPiece += 1
        }
        fill(skipping: rest)
    }

    /// Bytes of the first piece that have been sent.
    private var partial = 0

    private func fill(skipping: Int) {
        partial = skipping
        removeAll()
        var skip = skipping
        for piece in pieces[firstPiece...] {
            guard append(piece, skipping: skip) else { return }
            skip = 0
        }
    }
}
