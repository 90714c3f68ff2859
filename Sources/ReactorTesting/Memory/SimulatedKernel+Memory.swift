import Glibc
import SystemPackage

/// Whose memory is it? From its submission to its last completion, what an operation reads must stay as it is, and what it
/// writes is nobody else's.
///
/// What completes within the enter that submitted it is not looked at: nobody had the chance to touch it. So only what
/// waits, or completes late, costs anything.
extension SimulatedKernel {
    /// Has glibc overwrite memory as it is freed, and keep it mapped, in the whole process and until it ends: then what is
    /// freed while the kernel has it shows as changed, instead of looking as it did.
    ///
    /// A program of tests calls it once, before anything else. The C library keeps small blocks (up to 1,032 bytes) that
    /// were freed apart and does not overwrite all of those, unless the program was started with
    /// `GLIBC_TUNABLES=glibc.malloc.tcache_count=0`.
    ///
    /// - Returns: whether small blocks are overwritten, too; false as well where the C library is not glibc.
    @discardableResult
    public static func overwriteFreedMemory() -> Bool {
        // Not every C library has it.
        guard let symbol = unsafe dlsym(nil, "mallopt") else { return false }
        let setOption = unsafe unsafeBitCast(symbol, to: (@convention(c) (CInt, CInt) -> CInt).self)
        // mallopt(3): M_PERTURB, M_MMAP_MAX and M_TRIM_THRESHOLD. No block has a mapping of its own, which would go with it,
        // and nothing is given back to the system, for reading there must not fault.
        _ = setOption(-6, CInt(KernelMemory.freed))
        _ = setOption(-4, 0)
        _ = setOption(-1, .max)
        // M_MXFAST: the fast bins keep what is freed as it is, but for its first bytes.
        _ = setOption(1, 0)
        let tunables = unsafe getenv("GLIBC_TUNABLES").map { unsafe String(cString: $0) } ?? ""
        return tunables.contains("tcache_count=0")
    }

    // MARK: - From submission to completion

    /// An operation was consumed: its memory must be nobody else's. Only what is written must be alone; sends may share.
    func checkOverlaps(of operation: Operation) {
        guard configuration.checksMemory else { return }
        for range in operation.segments where range.count > 0 {
            if let buffer = providedMemory.owned(overlapping: range) {
                violation(
                    "the memory of \(operation.submission) is that of \(buffer), which is provided to the kernel")
            }
            for other in memory.held where range.isWritten || other.memory.writes {
                guard let overlap = other.memory.segments.first(where: { $0.overlaps(range) }),
                    overlap.isWritten || range.isWritten
                else { continue }
                violation(
                    "\(operation.submission) shares memory with \(other.operation.submission), and one of them writes to it")
            }
        }
    }

    /// The operation outlives its first attempt: from now on, somebody could touch its memory.
    func hold(_ operation: Operation) {
        guard configuration.checksMemory, operation.heldMemory == nil, !operation.segments.isEmpty else { return }
        // One that has only looked at a provided buffer has none.
        guard operation.bufferGroup == nil || operation.buffer != nil else { return }
        if operation.poisonsMemory {
            UserMemory.fill(operation.segments, from: operation.transferred, with: KernelMemory.unwritten)
        }
        let held = HeldMemory(operation.segments)
        operation.heldMemory = held
        held.place = memory.held.count
        memory.held.append(KernelMemory.Held(operation: operation, memory: held))
    }

    /// The memory is the library's again, if it is as it should be.
    func letGoOfMemory(of operation: Operation) {
        guard let held = operation.heldMemory else { return }
        check(operation, held)
        operation.heldMemory = nil
        let last = memory.held.removeLast()
        guard last.memory !== held else { return }
        memory.held[held.place] = last
        last.memory.place = held.place
    }

    /// The kernel writes what it received.
    func write(_ bytes: ArraySlice<UInt8>, to operation: Operation, from start: Int) {
        if let held = operation.heldMemory, !held.isReported { check(operation, held) }
        UserMemory.write(bytes, to: operation.segments, from: start)
        operation.heldMemory?.refresh(from: start, length: bytes.count)
    }

    private func check(_ operation: Operation, _ held: HeldMemory) {
        guard !held.isReported, let difference = held.firstDifference() else { return }
        held.isReported = true
        violation(
            "the memory of \(operation.opcode) was written to, freed or used again while the kernel had it: "
                + "\(operation.submission), first different byte \(difference)")
    }

    /// Compares what the kernel has with what it should be: all of it, up to a limit, and what is beyond it at another
    /// enter. An operation that completes is looked at in any case.
    func checkMemory() {
        guard configuration.checksMemory else { return }
        var left = KernelMemory.mostPerEnter
        var index = memory.next
        for _ in 0..<memory.held.count where left > 0 {
            if index >= memory.held.count { index = 0 }
            let held = memory.held[index]
            check(held.operation, held.memory)
            left -= held.memory.count
            index += 1
        }
        memory.next = index
        checkProvidedMemory()
    }

    // MARK: - Provided buffers

    /// A buffer is the kernel's now.
    func poison(_ buffer: ProvidedBuffer) {
        guard configuration.checksMemory else { return }
        for range in KernelMemory.watched(buffer) { UserMemory.fill([range], from: 0, with: KernelMemory.unwritten) }
    }

    /// A buffer that nothing was received into yet: nobody has written to it.
    func checkUnwritten(_ buffer: ProvidedBuffer) {
        guard configuration.checksMemory, !memory.reported.contains(buffer.name) else { return }
        for range in KernelMemory.watched(buffer) {
            guard let place = UserMemory.firstByte(in: range, otherThan: KernelMemory.unwritten) else { continue }
            memory.reported.insert(buffer.name)
            let byte = Int(range.address - buffer.range.address) + place
            violation(
                "the memory of \(buffer) was written to, freed or used again while the kernel had it: "
                    + "first different byte \(byte)")
            return
        }
    }

    /// A few at each enter, in turns: rings have hundreds of buffers, and each is looked at when it is picked.
    private func checkProvidedMemory() {
        for _ in 0..<min(KernelMemory.buffersPerEnter, providedMemory.count) {
            memory.nextBuffer = memory.nextBuffer + 1 < providedMemory.count ? memory.nextBuffer + 1 : 0
            let buffer = providedMemory.all[memory.nextBuffer]
            if !memory.filled.contains(buffer.name) { checkUnwritten(buffer) }
        }
    }

    /// Whether somebody sends from the memory that is being provided, or receives into it.
    func checkProvided(_ buffer: ProvidedBuffer) -> Bool {
        for other in memory.held where other.memory.segments.contains(where: { $0.overlaps(buffer.range) }) {
            violation("\(buffer) is provided while its memory is that of \(other.operation.submission)")
            return false
        }
        return true
    }
}

/// The memory that is the kernel's, apart from provided buffers.
struct KernelMemory {
    struct Held {
        let operation: Operation
        let memory: HeldMemory
    }

    var held: [Held] = []
    /// Where the next enter goes on to compare.
    var next = 0
    var nextBuffer = 0
    /// Buffers that something was received into, whose completion is not posted yet. Their operations hold them.
    var filled: Set<UInt32> = []
    /// Buffers whose change was reported.
    var reported: Set<UInt32> = []

    /// What nobody has written to.
    static let unwritten: UInt8 = 0xdb
    /// What glibc writes over what is freed; over what is allocated, its complement.
    static let freed: UInt8 = 0x6b

    static let mostPerEnter = 256 * 1024
    static let buffersPerEnter = 4

    /// What is looked at of a buffer: all of a small one. Of a large one its beginning, where everybody who uses it begins,
    /// and its end, where whoever runs over its neighbour arrives: rings of large buffers have megabytes.
    static func watched(_ buffer: ProvidedBuffer) -> [MemoryRange] {
        let range = buffer.range
        guard range.count > 2 * edge else { return [range] }
        return [
            MemoryRange(address: range.address, count: edge, isWritten: true),
            MemoryRange(address: range.address + UInt(range.count - edge), count: edge, isWritten: true),
        ]
    }

    private static let edge = 1_024
}
