import CTestSupport
import CLiburing
import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// Whose memory it is: what nobody may touch while the kernel has it.
@Suite struct MemoryTests {
    /// A kernel whose violations are collected, with a ring and a connection over it.
    private final class Bench {
        let kernel: SimulatedKernel
        let ring: TestRing
        let near: FileDescriptor
        let far: FileDescriptor
        let listener: FileDescriptor
        private(set) var violations: [String] = []

        init(_ change: (inout SimulatedKernel.Configuration) -> Void = { _ in }) throws {
            var configuration = SimulatedKernel.Configuration()
            configuration.sendBuffer = 8
            configuration.receiveBuffer = 8
            change(&configuration)
            kernel = SimulatedKernel(configuration: configuration)
            ring = try TestRing(kernel)
            (near, far, listener) = try ring.connection()
            kernel.onViolation = { [unowned self] in violations.append($0) }
        }

        /// A send that waits: nobody reads, and the connection is full.
        func blockedSend(_ bytes: TestRing.Buffer) {
            ring.send(90, near, ring.buffer(16))
            ring.send(1, near, bytes)
            ring.enter()
        }

        func touched(_ operation: String, byte: Int) -> Bool {
            violations.count == 1 && violations[0].contains("the memory of \(operation) was written to, freed or used again")
                && violations[0].hasSuffix("first different byte \(byte)")
        }
    }

    @Test func aSendThatWaitsKeepsItsMemory() throws {
        let bench = try Bench()
        let bytes = bench.ring.buffer("hello")
        bench.blockedSend(bytes)
        bench.ring.enter()
        #expect(bench.violations.isEmpty)
        unsafe bytes.memory[3] = 0
        bench.ring.enter()
        #expect(bench.touched("send", byte: 3))
        // Once is enough.
        bench.ring.enter()
        #expect(bench.violations.count == 1)
    }

    @Test func aSendThatIsDoneGivesItsMemoryBack() throws {
        let bench = try Bench()
        let bytes = bench.ring.buffer("hello")
        bench.blockedSend(bytes)
        bench.ring.receive(2, bench.far, bench.ring.buffer(16))
        #expect(bench.ring.result(1) == 5)
        unsafe bytes.memory[3] = 0
        bench.ring.enter()
        #expect(bench.violations.isEmpty)
    }

    @Test func aSendWhoseCompletionIsLateKeepsItsMemory() throws {
        let bench = try Bench { $0.faults.lateCompletion = 1 }
        let bytes = bench.ring.buffer("hello")
        bench.ring.send(1, bench.near, bytes)
        bench.ring.enter()
        unsafe bytes.memory[0] = 0
        #expect(bench.ring.result(1) == 5)
        #expect(bench.touched("send", byte: 0))
    }

    @Test func theSegmentsOfAMessageAreKeptButNotTheirVector() throws {
        let bench = try Bench()
        bench.ring.send(90, bench.near, bench.ring.buffer(16))
        let parts = [bench.ring.buffer("hello"), bench.ring.buffer("world")]
        // Writes over the vector once it is submitted.
        bench.ring.sendmsg(1, bench.near, parts)
        bench.ring.enter()
        #expect(bench.violations.isEmpty)
        unsafe parts[1].memory[2] = 0
        bench.ring.enter()
        #expect(bench.touched("sendmsg", byte: 7))
    }

    @Test func aReceiveKeepsItsMemory() throws {
        let bench = try Bench()
        let buffer = bench.ring.buffer(8)
        bench.ring.receive(1, bench.far, buffer)
        bench.ring.enter()
        unsafe buffer.memory[6] = 1
        bench.ring.enter()
        #expect(bench.touched("recv", byte: 6))
    }

    @Test func whatTheKernelWritesIsNoViolation() throws {
        let bench = try Bench { $0.faults.lateCompletion = 1 }
        let buffer = bench.ring.buffer(8)
        bench.ring.receive(1, bench.far, buffer, flags: Int32(MSG_WAITALL))
        bench.ring.enter()
        for number in UInt64(10)..<14 { bench.ring.send(number, bench.near, bench.ring.buffer("ab")) }
        #expect(buffer.text(bench.ring.result(1)) == "abababab")
        #expect(bench.violations.isEmpty)
    }

    @Test func whatWasReceivedIsTheKernelsUntilItSaysSo() throws {
        let bench = try Bench()
        let buffer = bench.ring.buffer(8)
        bench.ring.send(1, bench.near, bench.ring.buffer("hello"))
        bench.ring.wait(for: 1)
        bench.kernel.faults.lateCompletion = 1
        bench.ring.receive(2, bench.far, buffer)
        bench.ring.enter()
        unsafe buffer.memory[1] = 0
        bench.ring.wait(for: 2)
        #expect(bench.touched("recv", byte: 1))
    }

    @Test func theAddressOfAnAcceptIsKept() throws {
        let bench = try Bench()
        let storage = bench.ring.buffer(20)
        unsafe storage.memory.storeBytes(of: 16, as: UInt32.self)
        unsafe bench.ring.queue(1) {
            unsafe io_uring_prep_accept(
                $0, bench.listener.rawValue,
                (storage.memory.baseAddress! + 4).assumingMemoryBound(to: sockaddr.self),
                storage.memory.baseAddress!.assumingMemoryBound(to: socklen_t.self), 0)
        }
        bench.ring.enter()
        unsafe storage.memory[0] = 4
        bench.ring.enter()
        #expect(bench.touched("accept", byte: 16))
    }

    @Test func receivesDoNotShareMemory() throws {
        let bench = try Bench()
        let buffer = bench.ring.buffer(8)
        bench.ring.receive(1, bench.far, buffer)
        bench.ring.receive(2, bench.near, buffer)
        bench.ring.enter()
        #expect(bench.violations.map { $0.contains("shares memory with recv") } == [true])
    }

    @Test func aSendDoesNotReadWhatAReceiveWrites() throws {
        let bench = try Bench()
        let buffer = bench.ring.buffer(8)
        bench.ring.receive(1, bench.far, buffer)
        bench.ring.enter()
        bench.ring.send(2, bench.far, buffer)
        bench.ring.enter()
        #expect(bench.violations.map { $0.contains("shares memory with recv") } == [true])
    }

    @Test func sendsShareMemory() throws {
        let bench = try Bench()
        let bytes = bench.ring.buffer("hello")
        bench.blockedSend(bytes)
        bench.ring.send(2, bench.near, bytes)
        bench.ring.enter()
        #expect(bench.kernel.inFlightCount == 2)
        #expect(bench.violations.isEmpty)
    }

    // MARK: - Provided buffers

    @Test func aProvidedBufferIsTheKernels() throws {
        let bench = try Bench()
        let buffers = try bench.ring.buffers(count: 2, size: 64)
        bench.ring.enter()
        unsafe buffers.start(of: 1).storeBytes(of: 0, toByteOffset: 9, as: UInt8.self)
        for _ in 0..<4 { bench.ring.enter() }
        #expect(bench.violations == [
            "the memory of buffer 1 of group 0 was written to, freed or used again while the kernel had it: "
                + "first different byte 9",
        ])
    }

    @Test func aBufferIsNotProvidedWhileItIsSentFrom() throws {
        let bench = try Bench()
        let buffers = try bench.ring.buffers(count: 2, size: 16)
        bench.ring.send(1, bench.near, bench.ring.buffer("hello"))
        bench.ring.wait(for: 1)
        bench.ring.receive(2, bench.far, multishot: false)
        let completion = bench.ring.wait(for: 2)
        let number = try #require(completion.buffer)
        // What was received goes out again, to somebody who does not read.
        let slice = unsafe UnsafeMutableRawBufferPointer(start: buffers.start(of: number), count: 5)
        unsafe bench.blockedSend(TestRing.Buffer(memory: slice))
        #expect(bench.violations.isEmpty)
        buffers.provide(number)
        bench.ring.enter()
        #expect(bench.violations == ["buffer \(number) of group 0 is provided while its memory is that of "
            + "send fd \(bench.near.rawValue) length 5 flags \(MSG_NOSIGNAL) user_data 0x1"])
    }

    @Test func aSendDoesNotReadAProvidedBuffer() throws {
        let bench = try Bench()
        let buffers = try bench.ring.buffers(count: 2, size: 16)
        let slice = unsafe UnsafeMutableRawBufferPointer(start: buffers.start(of: 0), count: 5)
        unsafe bench.ring.send(1, bench.near, TestRing.Buffer(memory: slice))
        bench.ring.enter()
        #expect(bench.violations.map { $0.hasSuffix("is that of buffer 0 of group 0, which is provided to the kernel") }
            == [true])
    }

    // MARK: - Freed memory

    /// A process of its own: it has the C library overwrite whatever is freed. Not under a sanitizer, which has an allocator
    /// of its own.
    @Test(.enabled(if: allocation_counter_works())) func freedMemoryIsSeen() async {
        await #expect(processExitsWith: .success) {
            SimulatedKernel.overwriteFreedMemory()
            for size in [2_000, 100_000, 10_000_000] {
                let bench = try Bench()
                bench.ring.send(90, bench.near, bench.ring.buffer(16))
                let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
                unsafe memory.initializeMemory(as: UInt8.self, repeating: 0x20)
                unsafe bench.ring.send(1, bench.near, TestRing.Buffer(memory: memory))
                bench.ring.enter()
                precondition(bench.violations.isEmpty)
                unsafe memory.deallocate()
                bench.ring.enter()
                precondition(bench.violations.count == 1, "\(size)")
                precondition(bench.violations[0].contains("the memory of send was written to, freed or used again"))
            }
        }
    }

    @Test func theCheckCanBeLeftOut() throws {
        let bench = try Bench { $0.checksMemory = false }
        let bytes = bench.ring.buffer("hello")
        bench.blockedSend(bytes)
        unsafe bytes.memory[3] = 0
        bench.ring.enter()
        #expect(bench.violations.isEmpty)
    }

    // MARK: - Refused

    @Test func whatIsWrongInItselfIsRefusedLoudly() throws {
        for isLoud in [true, false] {
            let bench = try Bench { $0.rejectsLoudly = isLoud }
            let ring = bench.ring
            ring.receive(1, FileDescriptor(rawValue: 4), ring.buffer(8))
            #expect(ring.result(1) == -EBADF)
            ring.close(2, FileDescriptor(rawValue: 4))
            #expect(ring.result(2) == -EBADF)
            unsafe ring.queue(3) { unsafe io_uring_prep_recv($0, bench.far.rawValue, nil, 8, 0) }
            #expect(ring.result(3) == -EFAULT)
            unsafe ring.queue(4) {
                unsafe io_uring_prep_send($0, bench.far.rawValue, nil, 0, 0)
                unsafe $0.pointee.ioprio = 1 << 9
            }
            #expect(ring.result(4) == -EINVAL)
            ring.cancel(5, descriptor: FileDescriptor(rawValue: 4), flags: 2)
            #expect(ring.result(5) == -EBADF)
            let expected = ["recv", "close", "recv", "send", "async_cancel"]
            #expect(bench.violations.map { $0.split(separator: " ")[3] } == (isLoud ? expected.map { $0[...] } : []))
        }
    }

    /// Beside the ring, too: there it may be somebody else's descriptor by then. What a test has ordered is no mistake.
    @Test func aCallOnADescriptorThatIsNotOpenIsRefusedLoudly() throws {
        for isLoud in [true, false] {
            let bench = try Bench { $0.rejectsLoudly = isLoud }
            let kernel = bench.kernel
            #expect(throws: Errno.badFileDescriptor) { try kernel.shutdown(FileDescriptor(rawValue: 4), .both) }
            #expect(throws: Errno.badFileDescriptor) {
                try kernel.setOption(.noDelay, to: 1, on: FileDescriptor(rawValue: 4))
            }
            kernel.failNext(.shutdown, with: .badFileDescriptor)
            #expect(throws: Errno.badFileDescriptor) { try kernel.shutdown(bench.far, .both) }
            let expected = ["shutdown fd 4 both", "setOption 6,1 to 1 on fd 4"].map { "\($0): that descriptor is not open" }
            #expect(bench.violations == (isLoud ? expected : []))
        }
    }
}
