import Glibc
public import SystemPackage
public import UringReactor

/// Rings of provided buffers, and whose their memory is.
extension SimulatedKernel {
    /// Provided memory that is the kernel's: buffers in the ring of `group`, and those a receive has filled whose
    /// completion is not posted yet. Everything else is the library's.
    public func providedBuffers(ofGroup group: UInt16) -> [MemoryRange] {
        lookAtBufferRings()
        return providedMemory.all.filter { $0.group == group }.map(\.range)
    }

    public func registerBufferRing(_ ring: BufferRingMemory) throws(Errno) {
        unsafe try call(.registerBufferRing, "group \(ring.group) of \(ring.count)") { () throws(Errno) in
            switch ringState {
            case .none, .closed: throw .badFileDescriptor
            // io_register_pbuf_ring asks for nobody's ring but a disabled one's.
            case .disabled: break
            case .enabled(let thread):
                guard pthread_equal(thread, pthread_self()) != 0 else { throw .fileExists }
            }
            // A kernel that knows no multishot receives is taken to know no rings of buffers either: Linux 6.0 and 5.19.
            guard capabilities.multishotReceive else { throw .invalidArgument }
            let count = unsafe ring.count
            guard count > 0, count & (count - 1) == 0 else { throw .invalidArgument }
            guard unsafe bufferRing(ring.group) == nil else { throw .fileExists }
            guard unsafe UInt(bitPattern: ring.entries) % UInt(getpagesize()) == 0 else {
                throw .invalidArgument
            }
            let buffers = unsafe ProvidedBuffers(ring)
            let place = bufferRings.firstIndex { $0.group > buffers.group } ?? bufferRings.count
            bufferRings.insert(buffers, at: place)
            lookAt(buffers)
        }
    }

    public func unregisterBufferRing(group: UInt16) {
        clockMayStand()
        record(.call("unregisterBufferRing group \(group)"))
        guard let ring = bufferRing(group) else {
            violation("unregisterBufferRing(\(group)): there is no such ring")
            return
        }
        // Linux would let it wait on, and end it with ENOBUFS when something comes.
        for operation in orderedOperations where operation.bufferGroup == group {
            violation("the ring of group \(group) is taken back while a receive may pick from it: \(operation.submission)")
        }
        lookAt(ring)
        for buffer in ring.waiting {
            checkUnwritten(buffer)
            giveBack(buffer)
        }
        bufferRings.removeAll { $0 === ring }
    }

    // MARK: - Whose memory it is

    /// Takes note of the buffers that were added. The library may write to no entry any more, and to no buffer.
    func lookAtBufferRings() {
        for ring in bufferRings { lookAt(ring) }
    }

    private func bufferRing(_ group: UInt16) -> ProvidedBuffers? {
        bufferRings.first { $0.group == group }
    }

    private func lookAt(_ ring: ProvidedBuffers) {
        guard let added = ring.takeAdded() else {
            violation("the ring of group \(ring.group) was given more buffers than it has entries: some are lost")
            return
        }
        for buffer in added {
            guard buffer.range.address != 0, buffer.range.count > 0 else {
                violation("\(buffer) is empty: an entry that was added, but never filled?")
                continue
            }
            switch providedMemory.take(buffer) {
            case .now: if checkProvided(buffer) { poison(buffer) }
            case .sameNumber: violation("\(buffer) is provided a second time, while it is the kernel's")
            case .overlaps(let other):
                violation("\(buffer) overlaps \(other), which is the kernel's")
            }
        }
    }

    // MARK: - Picking

    /// The buffer for a receive, still in its ring; nil if there is none: `ENOBUFS`, also for a group that nobody knows.
    func selectBuffer(_ group: UInt16) -> ProvidedBuffer? {
        guard let ring = bufferRing(group) else { return nil }
        lookAt(ring)
        guard let buffer = ring.first else { return nil }
        if ring.firstHasChanged {
            violation("the entry of buffer \(buffer.number) of group \(group) was changed while it was the kernel's")
        }
        // Some other receive may have taken the last one.
        if draw(faults.noBuffers, "no buffers") { return nil }
        return buffer
    }

    /// Something was received into the buffer: it leaves its ring, and stays the kernel's until the completion is posted.
    func use(_ buffer: ProvidedBuffer, for operation: Operation) {
        checkUnwritten(buffer)
        bufferRing(buffer.group)?.advance()
        memory.filled.insert(buffer.name)
        operation.buffer = buffer
    }

    private func giveBack(_ buffer: ProvidedBuffer) {
        providedMemory.giveBack(buffer)
        memory.filled.remove(buffer.name)
        memory.reported.remove(buffer.name)
    }

    /// Brings the buffer of a completion back to the library: the flags that say so.
    func giveBackBuffer(of operation: Operation) -> UInt32 {
        guard let buffer = operation.buffer else { return 0 }
        operation.buffer = nil
        giveBack(buffer)
        return CompletionFlags.buffer | UInt32(buffer.number) << 16
    }
}
