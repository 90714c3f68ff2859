import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// Rings of provided buffers, and whose their memory is.
@Suite struct BufferRingTests {
    /// A kernel that writes its violations down.
    private func watched(_ configuration: SimulatedKernel.Configuration = .init()) -> (SimulatedKernel, () -> [String]) {
        let kernel = SimulatedKernel(configuration: configuration)
        var violations: [String] = []
        kernel.onViolation = { violations.append($0) }
        return (kernel, { violations })
    }

    // MARK: - Registration

    @Test func aRingIsRegisteredBeforeItIsEnabled() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel, enabled: false)
        let buffers = try ring.buffers()
        try kernel.enable()
        let (near, far, _) = try ring.connection()
        ring.receive(1, far)
        ring.send(2, near, ring.buffer("hello"))
        #expect(buffers.describe(ring.wait(for: 1)) == "5 'hello' in 0 more")
    }

    @Test func anotherThreadMayNotRegister() async throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let buffers = UncheckedBox(TestBuffers(ring, count: 4, size: 8))
        let errno: Errno? = await withCheckedContinuation { continuation in
            Thread.run {
                do {
                    try buffers.value.register()
                    continuation.resume(returning: nil)
                } catch {
                    continuation.resume(returning: error as? Errno)
                }
            }
        }
        #expect(errno == .fileExists)
    }

    @Test func aKernelWithoutMultishotReceivesRefusesThem() throws {
        var configuration = SimulatedKernel.Configuration.quiet
        configuration.capabilities.multishotReceive = false
        let ring = try TestRing(SimulatedKernel(configuration: configuration))
        #expect(throws: Errno.invalidArgument) { try ring.buffers() }
        let (_, far, _) = try ring.connection()
        ring.receive(1, far)
        #expect(ring.outcome(1) == TestRing.name(EINVAL))
    }

    @Test func registrationFailsAsOrdered() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        kernel.failNext(.registerBufferRing, with: .noMemory)
        #expect(throws: Errno.noMemory) { try ring.buffers() }
        _ = try ring.buffers()
    }

    // MARK: - The ring

    @Test func theRingGoesRoundMoreOftenThanItsIndexCanCount() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel, completions: 1_024)
        let buffers = try ring.buffers(count: 512, size: 1)
        let (near, far, _) = try ring.connection()
        let bytes = ring.buffer(512)
        ring.receive(1, far)
        var received = 0
        for _ in 0..<(65_536 / 512 + 2) {
            ring.send(2, near, bytes)
            while ring.enter(wait: 1) == 0, ring.ready < 513 {}
            for completion in ring.completions() where completion.userData == 1 {
                received += Int(completion.result)
                if let number = completion.buffer { buffers.provide(number) }
            }
        }
        #expect(received == 65_536 + 1_024)
        #expect(kernel.providedBuffers(ofGroup: 0).count == 512)
    }

    @Test func whoeverWaitsHoldsNoBuffer() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers(count: 1)
        let (near, far, _) = try ring.connection()
        ring.receive(1, near)
        ring.receive(2, far)
        ring.receive(3, far, multishot: false)
        ring.enter()
        #expect(kernel.inFlight.map(\.buffers) == [[], [], []])
        ring.send(4, far, ring.buffer("to one"))
        #expect(buffers.describe(ring.wait(for: 1)) == "6 'to one' in 0 more")
        ring.send(5, near, ring.buffer("to the other"))
        #expect(buffers.describe(ring.wait(for: 2)) == "\(TestRing.name(ENOBUFS)) ''")
        buffers.provide(0)
        ring.receive(6, far)
        #expect(buffers.describe(ring.wait(for: 6)) == "8 'to the o' in 0 more")
    }

    @Test func aSingleReceiveThatWaitsForAllKeepsItsBuffer() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers(count: 2)
        let (near, far, _) = try ring.connection()
        ring.receive(1, far, multishot: false, flags: Int32(MSG_WAITALL))
        ring.send(2, near, ring.buffer("1234"))
        #expect(ring.outcome(2) == "4")
        #expect(ring.isQuiet())
        #expect(kernel.inFlight.first?.buffers.first?.count == 8)
        ring.send(3, near, ring.buffer("5678"))
        #expect(buffers.describe(ring.wait(for: 1)) == "8 '12345678' in 0")
        ring.receive(4, far, multishot: false, flags: Int32(MSG_WAITALL))
        ring.send(5, near, ring.buffer("90"))
        #expect(ring.outcome(5) == "2")
        ring.cancel(6, target: 4)
        #expect(buffers.describe(ring.wait(for: 4)) == "2 '90' in 1")
    }

    // MARK: - Whose memory it is

    @Test func aBufferIsTheKernelsUntilItsCompletionIsPosted() throws {
        let (kernel, violations) = watched()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers(count: 2)
        #expect(kernel.providedBuffers(ofGroup: 0).count == 2)
        let (near, far, _) = try ring.connection()
        ring.send(1, near, ring.buffer("hello"))
        ring.enter()
        kernel.faults.lateCompletion = 1
        kernel.faults.multishotEnd = 1
        ring.receive(2, far)
        ring.enter()
        // Received, but the completion is held back.
        #expect(kernel.providedBuffers(ofGroup: 0).count == 2)
        buffers.provide(0)
        ring.enter()
        #expect(violations().map { $0.contains("buffer 0 of group 0 is provided a second time") } == [true])
        #expect(buffers.describe(ring.wait(for: 2)) == "5 'hello' in 0")
        #expect(kernel.providedBuffers(ofGroup: 0).count == 1)
    }

    @Test func memoryIsProvidedOnceAtATime() throws {
        let (kernel, violations) = watched()
        let ring = try TestRing(kernel)
        let buffers = TestBuffers(ring, count: 8, size: 8)
        try buffers.register()
        buffers.provide(0..<3)
        ring.enter()
        #expect(violations().isEmpty)
        buffers.provide(2)
        ring.enter()
        #expect(violations().last?.contains("a second time") == true)
        // Another number for the last byte of a buffer.
        buffers.provide(5, place: 15, length: 1)
        ring.enter()
        #expect(violations().last?.contains("buffer 5 of group 0 overlaps buffer 1 of group 0") == true)
        buffers.provide(6, place: 24, length: 8)
        ring.enter()
        #expect(violations().count == 2)
        buffers.provideUnfilled()
        ring.enter()
        #expect(violations().last?.contains("never filled") == true)
    }

    @Test func aRingThatIsFullTakesNoMore() throws {
        let (kernel, violations) = watched()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers(count: 4)
        ring.enter()
        buffers.provide(0)
        ring.enter()
        #expect(violations().map { $0.contains("more buffers than it has entries") } == [true])
    }

    @Test func anEntryThatWasHandedOverIsNotWrittenTo() throws {
        let (kernel, violations) = watched()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers(count: 4)
        let (near, far, _) = try ring.connection()
        ring.receive(1, far)
        ring.enter()
        unsafe buffers.memory.entries[0].len = 4
        ring.send(2, near, ring.buffer("hello"))
        ring.wait(for: 1)
        #expect(violations().map { $0.contains("was changed while it was the kernel's") } == [true])
    }

    @Test func aRingIsTakenBackWhenNobodyPicksFromIt() throws {
        let (kernel, violations) = watched()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers()
        let (_, far, _) = try ring.connection()
        kernel.unregisterBufferRing(group: 0)
        #expect(violations().isEmpty)
        #expect(kernel.providedBuffers(ofGroup: 0).isEmpty)
        // The kernel's head starts at 0 again, so the ring is as full as its tail says.
        try buffers.register()
        ring.receive(1, far)
        ring.enter()
        kernel.unregisterBufferRing(group: 0)
        #expect(violations().map { $0.contains("taken back while a receive may pick from it") } == [true])
        kernel.unregisterBufferRing(group: 0)
        #expect(violations().last?.contains("there is no such ring") == true)
    }
}
