import NIOCore

/// Sizes receive buffers by what was read, like `AdaptiveRecvByteBufferAllocator`, but comes to rest.
///
/// NIO's own halves a buffer of 8,192 bytes if twice 4,096 came, and doubles it when they fill it; a read that fills its
/// buffer is followed by another, which finds nothing. So with messages of a power of two it goes to and fro, at one wasted
/// system call in three. This one halves only what was not filled to more than a quarter.
struct SteadyReceiveAllocator: RecvByteBufferAllocator {
    /// Small, since a connection that has read once keeps its buffer while it is idle.
    private static let minimum = 1024
    private static let maximum = 256 << 10

    private var size = SteadyReceiveAllocator.minimum
    private var wasTooLarge = false

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: size) }

    func nextBufferSize() -> Int? { size }

    mutating func record(actualReadBytes: Int) -> Bool {
        if actualReadBytes >= size {
            wasTooLarge = false
            guard size < SteadyReceiveAllocator.maximum else { return false }
            size *= 2
            return true
        }
        let isTooLarge = actualReadBytes <= size / 4 && size > SteadyReceiveAllocator.minimum
        if isTooLarge && wasTooLarge { size /= 2 }
        // Twice in a row, so that the end of a burst does not count.
        wasTooLarge = isTooLarge && !wasTooLarge
        return false
    }
}
