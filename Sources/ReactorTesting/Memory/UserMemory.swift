import Glibc

/// The library's memory, as the kernel sees it: by addresses that came with a submission.
///
/// All of the simulator's accesses to memory it does not own are here.
enum UserMemory {
    /// The value at `address`, or nil for a null address (`EFAULT`).
    static func load<Value: BitwiseCopyable>(_ address: UInt64, _ type: Value.Type = Value.self) -> Value? {
        guard let pointer = unsafe UnsafeRawPointer(bitPattern: UInt(address)) else { return nil }
        return unsafe pointer.loadUnaligned(as: Value.self)
    }

    static func store<Value: BitwiseCopyable>(_ value: Value, at address: UInt64) {
        guard let pointer = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)) else { return }
        unsafe pointer.storeBytes(of: value, as: Value.self)
    }

    /// The text up to the zero byte.
    static func string(at address: UInt64) -> String? {
        guard let pointer = unsafe UnsafePointer<CChar>(bitPattern: UInt(address)) else { return nil }
        return unsafe String(cString: pointer)
    }

    /// Bytes `start ..< start + length` of what `segments` hold together.
    static func read(_ segments: [MemoryRange], from start: Int, length: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length)
        unsafe forEach(segments, from: start, length: length) { pointer, count in
            unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: pointer, count: count))
        }
        return bytes
    }

    /// Writes `bytes` to `segments`, from their byte `start` on.
    static func write(_ bytes: ArraySlice<UInt8>, to segments: [MemoryRange], from start: Int) {
        var rest = bytes
        unsafe forEach(segments, from: start, length: bytes.count) { pointer, count in
            unsafe UnsafeMutableRawBufferPointer(start: pointer, count: count).copyBytes(from: rest.prefix(count))
            rest = rest.dropFirst(count)
        }
    }

    /// Fills what `segments` hold together, from their byte `start` on.
    static func fill(_ segments: [MemoryRange], from start: Int, with byte: UInt8) {
        unsafe forEach(segments, from: start, length: .max) { pointer, count in
            unsafe memset(pointer, Int32(byte), count)
        }
    }

    /// The first byte in `range` that is not `byte`, or nil. A range of equal bytes equals itself, moved by one.
    static func firstByte(in range: MemoryRange, otherThan byte: UInt8) -> Int? {
        guard range.count > 0, let pointer = unsafe UnsafeRawPointer(bitPattern: range.address) else { return nil }
        if unsafe pointer.load(as: UInt8.self) == byte, unsafe memcmp(pointer, pointer + 1, range.count - 1) == 0 {
            return nil
        }
        return (0..<range.count).first { unsafe pointer.load(fromByteOffset: $0, as: UInt8.self) != byte }
    }

    static func forEach(
        _ segments: [MemoryRange], from start: Int, length: Int, _ body: (UnsafeMutableRawPointer, Int) -> Void
    ) {
        var skip = start
        var left = length
        for segment in segments where left > 0 {
            if skip >= segment.count {
                skip -= segment.count
                continue
            }
            let count = min(segment.count - skip, left)
            guard let pointer = unsafe UnsafeMutableRawPointer(bitPattern: segment.address + UInt(skip)) else { return }
            unsafe body(pointer, count)
            left -= count
            skip = 0
        }
    }
}
