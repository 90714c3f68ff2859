import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

@Suite struct RingTests {
    @Test(arguments: [UInt32(0), 0xffff_fffe])
    func aNopCompletes(start: UInt32) throws {
        var configuration = SimulatedKernel.Configuration()
        configuration.ringIndexStart = start
        let ring = try TestRing(SimulatedKernel(configuration: configuration), entries: 4, completions: 8)
        for round in 0..<5 {
            for number in 1...4 { ring.nop(UInt64(10 * round + number)) }
            #expect(ring.enter() == 4)
            #expect(ring.completions().map(\.userData) == (1...4).map { UInt64(10 * round + $0) })
        }
        ring.kernel.close()
    }

    @Test func entriesAreRoundedUpToAPowerOfTwo() throws {
        let ring = try TestRing(SimulatedKernel(), entries: 5, completions: 9)
        unsafe #expect(ring.memory.submissionEntries == 8)
        unsafe #expect(ring.memory.completionEntries == 16)
    }

    @Test func aRingThatIsNotEnabledRefuses() throws {
        let ring = try TestRing(SimulatedKernel(), enabled: false)
        ring.nop(1)
        #expect(ring.enter() == -EBADFD)
        try ring.kernel.enable()
        #expect(ring.enter() == 1)
    }

    @Test func aFullCompletionQueueLosesNothing() throws {
        let ring = try TestRing(SimulatedKernel(), entries: 4, completions: 4)
        for number in 1...4 { ring.nop(UInt64(number)) }
        ring.enter()
        for number in 5...8 { ring.nop(UInt64(number)) }
        ring.enter()
        for number in 9...10 { ring.nop(UInt64(number)) }
        ring.enter()
        #expect(ring.hasOverflow)
        var seen = ring.completions().map(\.userData)
        #expect(seen == [1, 2, 3, 4])
        // Without GETEVENTS nothing is flushed: trap 19.
        ring.enter(reap: false)
        #expect(ring.ready == 0)
        ring.enter()
        seen += ring.completions().map(\.userData)
        ring.enter(wait: 1)
        seen += ring.completions().map(\.userData)
        #expect(seen == Array(1...10))
        #expect(!ring.hasOverflow)
    }

    @Test func aWaitEndsByItsTimeout() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let start = kernel.now()
        #expect(ring.enter(wait: 1, timeout: 5_000) == -ETIME)
        #expect(kernel.now() == start + 5_000)
        // What was submitted counts: trap 22.
        ring.timeout(1, nanoseconds: 1_000_000)
        #expect(ring.enter(wait: 1, timeout: 5_000) == 1)
        #expect(ring.ready == 0)
        #expect(ring.enter(wait: 1, timeout: 5_000_000) == 0)
        #expect(ring.completions().map(\.result) == [-ETIME])
        #expect(kernel.now() == start + 5_000 + 1_000_000)
    }

    @Test func anEmptyEntryIsAViolation() throws {
        let kernel = SimulatedKernel()
        var violations: [String] = []
        kernel.onViolation = { violations.append($0) }
        let ring = try TestRing(kernel)
        ring.queueUnfilled()
        ring.enter()
        ring.nop(0)
        ring.enter()
        #expect(violations.count == 2)
        #expect(violations.first?.contains("never filled") == true)
        #expect(violations.last?.contains("user_data") == true)
    }

    @Test func unknownOpcodesAndFlagsAreRefused() throws {
        let ring = try TestRing(SimulatedKernel(configuration: .quiet))
        unsafe ring.queue(1) { unsafe $0.pointee = .init(); unsafe $0.pointee.opcode = 200 }
        unsafe ring.queue(2) { unsafe $0.pointee = .init(); unsafe $0.pointee.flags = 1 << 2 }
        // CQE_SKIP_SUCCESS
        unsafe ring.queue(3) { unsafe $0.pointee = .init(); unsafe $0.pointee.flags = 1 << 6 }
        ring.nop(4)
        ring.enter()
        #expect(ring.completions().map(\.description) == ["1: -22", "2: -22", "4: 0"])
    }

    @Test func aStallIsAFailureUnlessAHookHelps() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        var asked = 0
        kernel.onStall = { kernel in
            asked += 1
            kernel.schedule(after: .seconds(1)) {}
            return asked < 3 ? .lookAgain : .interrupt
        }
        #expect(ring.enter(wait: 1) == -EINTR)
        #expect(asked == 3)
        kernel.onStall = nil
        var violations: [String] = []
        kernel.onViolation = { violations.append($0) }
        ring.enter(wait: 1)
        #expect(violations.first?.contains("stalled") == true)
    }

    @Test func aClosedRingMustBeQuiet() throws {
        let kernel = SimulatedKernel()
        var violations: [String] = []
        kernel.onViolation = { violations.append($0) }
        let ring = try TestRing(kernel)
        ring.timeout(1, nanoseconds: 1_000)
        ring.enter()
        #expect(kernel.inFlight.map(\.userData) == [1])
        kernel.close()
        #expect(violations.count == 1)
        #expect(kernel.inFlightCount == 0)
    }

    @Test func anotherThreadMayNotEnter() async throws {
        let kernel = SimulatedKernel()
        _ = try TestRing(kernel)
        let box = UncheckedBox(kernel)
        let status = await withCheckedContinuation { continuation in
            Thread.run { continuation.resume(returning: box.value.enter(EnterRequest(submit: 0))) }
        }
        #expect(status == -EEXIST)
    }
}

/// The test hands it over and waits: one thread at a time.
struct UncheckedBox<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

enum Thread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    static func run(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let argument = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
        unsafe pthread_create(&thread, nil, { argument in
            unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
            return nil
        }, argument)
        pthread_detach(thread)
    }
}
