import CLiburing
import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// Sends that do not wait, and sends whose memory the kernel keeps.
@Suite struct SendTests {
    /// A socket of the library that a scripted peer has connected to, with a buffer of so many bytes.
    private func served(
        _ kernel: SimulatedKernel, _ ring: TestRing, _ address: SocketAddress = .loopback()
    ) throws -> (FileDescriptor, SimulatedPeer) {
        let (listener, bound) = try ring.listener(address)
        let peer = try kernel.connect(to: bound)
        ring.accept(901, listener)
        return (FileDescriptor(rawValue: ring.result(901)), peer)
    }

    private func small(_ each: Int) -> SimulatedKernel.Configuration {
        var configuration = SimulatedKernel.Configuration()
        configuration.sendBuffer = each
        configuration.receiveBuffer = each
        return configuration
    }

    // MARK: - Full sockets

    @Test(arguments: [true, false]) func aFullSocketIsWritableWhenEnoughWasRead(overTCP: Bool) throws {
        let kernel = SimulatedKernel(configuration: small(60))
        let ring = try TestRing(kernel)
        let (socket, peer) = try served(kernel, ring, overTCP ? .loopback() : .unix(path: "/s"))
        peer.pauseReading()
        ring.send(1, socket, ring.buffer(200), flags: Int32(MSG_DONTWAIT))
        #expect(ring.result(1) == 120)
        ring.send(2, socket, ring.buffer(1), flags: Int32(MSG_DONTWAIT))
        #expect(ring.outcome(2) == TestRing.name(EAGAIN))
        ring.poll(3, socket, 4)
        // A third must be free, of a Unix socket's buffer three quarters.
        peer.read(upTo: overTCP ? 39 : 89)
        #expect(ring.isQuiet())
        // There is room all the same.
        ring.send(4, socket, ring.buffer(1), flags: Int32(MSG_DONTWAIT))
        #expect(ring.outcome(4) == "1")
        peer.read(upTo: 1)
        #expect(ring.isQuiet())
        peer.read(upTo: 1)
        #expect(ring.outcome(3) == "4")
    }

    @Test func aPollPromisesNothing() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (socket, peer) = try served(kernel, ring)
        kernel.faults.sendAgain = 1
        ring.poll(1, socket, 4)
        #expect(ring.outcome(1) == "4")
        ring.send(2, socket, ring.buffer("hello"), flags: Int32(MSG_DONTWAIT))
        #expect(ring.outcome(2) == TestRing.name(EAGAIN))
        ring.sendmsg(3, socket, [ring.buffer("hello")], flags: UInt32(MSG_DONTWAIT))
        #expect(ring.outcome(3) == TestRing.name(EAGAIN))
        #expect(peer.received == "")
        // Who waits is not concerned.
        ring.send(4, socket, ring.buffer("hello"))
        #expect(ring.outcome(4) == "5")
    }

    @Test func bytesAreUnderWayUntilThePeerHasReadThem() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (socket, peer) = try served(kernel, ring)
        peer.pauseReading()
        ring.send(1, socket, ring.buffer("0123456789"))
        ring.enter()
        #expect(try kernel.unacknowledgedBytes(of: socket) == 10)
        peer.read(upTo: 4)
        #expect(try kernel.unacknowledgedBytes(of: socket) == 6)
        try kernel.shutdown(socket, .sending)
        #expect(try kernel.unacknowledgedBytes(of: socket) == 6)
        peer.reset()
        #expect(try kernel.unacknowledgedBytes(of: socket) == 0)
        kernel.failNext(.unacknowledgedBytes, with: .notSupported)
        #expect(throws: Errno.notSupported) { try kernel.unacknowledgedBytes(of: socket) }
    }

    // MARK: - Zero-copy

    @Test func theMemoryIsHeldUntilThePeerHasReadIt() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (socket, peer) = try served(kernel, ring)
        peer.pauseReading()
        ring.sendZeroCopy(1, socket, ring.buffer("hello"))
        ring.sendZeroCopy(2, socket, ring.buffer("world"))
        #expect(ring.outcome(1) == "5 more")
        #expect(ring.outcome(2) == "5 more")
        #expect(kernel.inFlight.map { $0.buffers.map(\.count) } == [[5], [5]])
        peer.read(upTo: 7)
        #expect(ring.hasDeferredWork)
        ring.enter()
        #expect(ring.completions().map(\.description) == ["1: 0"])
        // The socket is not held, and nothing can be cancelled any more.
        let open = kernel.openDescriptors
        ring.cancel(3, target: 2)
        #expect(ring.outcome(3) == TestRing.name(ENOENT))
        kernel.close(socket)
        #expect(kernel.openDescriptors == open - 1)
        #expect(ring.isQuiet())
        peer.resumeReading()
        #expect(peer.sawEnd)
        #expect(ring.wait(for: 2).isNotification)
        #expect(kernel.inFlightCount == 0)
    }

    @Test func aConnectionThatBreaksLetsGoOfTheMemory() throws {
        for end in [SimulatedPeer.close, SimulatedPeer.reset] {
            let kernel = SimulatedKernel()
            let ring = try TestRing(kernel)
            let (socket, peer) = try served(kernel, ring)
            peer.pauseReading()
            ring.sendZeroCopy(1, socket, ring.buffer("hello"))
            #expect(ring.outcome(1) == "5 more")
            #expect(ring.isQuiet())
            end(peer)()
            #expect(ring.wait(for: 1).isNotification)
        }
    }

    @Test func memoryThatIsWrittenToBeforeItsNotificationIsAViolation() throws {
        let kernel = SimulatedKernel()
        var violations: [String] = []
        kernel.onViolation = { violations.append($0) }
        let ring = try TestRing(kernel)
        let (socket, peer) = try served(kernel, ring)
        peer.pauseReading()
        let bytes = ring.buffer("hello")
        ring.sendZeroCopy(1, socket, bytes)
        #expect(ring.outcome(1) == "5 more")
        unsafe bytes.memory[4] = UInt8(ascii: "!")
        peer.resumeReading()
        ring.wait(for: 1)
        #expect(violations.map { $0.contains("written to, freed or used again") } == [true])
        ring.sendZeroCopy(2, socket, bytes)
        #expect(ring.zeroCopyOutcome(2) == "5, notified ")
        #expect(violations.count == 1)
    }

    @Test func aRingIsNotClosedOverANotification() throws {
        let kernel = SimulatedKernel()
        var violations: [String] = []
        kernel.onViolation = { violations.append($0) }
        let ring = try TestRing(kernel)
        let (socket, peer) = try served(kernel, ring)
        peer.pauseReading()
        ring.sendZeroCopy(1, socket, ring.buffer("hello"))
        ring.wait(for: 1)
        kernel.close()
        #expect(violations.map { $0.contains("1 operations in flight") } == [true])
    }

    @Test func notificationsComeInAnyOrderButAfterTheirResults() throws {
        var orders: Set<[UInt64]> = []
        for seed in UInt64(0)..<20 {
            let kernel = SimulatedKernel(seed: seed)
            let ring = try TestRing(kernel)
            let (socket, _) = try served(kernel, ring)
            kernel.faults.lateNotification = 0.5
            kernel.faults.lateCompletion = 0.5
            for number in UInt64(1)...2 { ring.sendZeroCopy(number, socket, ring.buffer("x")) }
            var found: [TestRing.Completion] = []
            while found.count < 4 {
                ring.enter(wait: 1)
                found += ring.completions()
            }
            for number in UInt64(1)...2 {
                #expect(found.filter { $0.userData == number }.map(\.isNotification) == [false, true])
            }
            orders.insert(found.filter(\.isNotification).map(\.userData))
        }
        #expect(orders == [[1, 2], [2, 1]])
    }

    @Test func whatWasCancelledDoesNotSendWhenItsReadinessIsLate() throws {
        let kernel = SimulatedKernel(configuration: small(8))
        let ring = try TestRing(kernel)
        let (socket, peer) = try served(kernel, ring)
        peer.pauseReading()
        ring.send(1, socket, ring.buffer(16))
        #expect(ring.outcome(1) == "16")
        ring.sendZeroCopy(2, socket, ring.buffer("hello"))
        ring.timeout(4, nanoseconds: 500_000)
        ring.enter()
        kernel.faults.lateReadiness = 1
        kernel.faults.delay = 1_000_000...1_000_000
        peer.resumeReading()
        peer.pauseReading()
        // The memory is still the kernel's when the readiness comes.
        kernel.faults.lateNotification = 1
        kernel.faults.delay = 2_000_000...2_000_000
        ring.cancel(3, target: 2)
        #expect(ring.outcome(3) == "0")
        #expect(ring.outcome(2) == "\(TestRing.name(ECANCELED)) more")
        #expect(ring.wait(for: 2).isNotification)
        #expect(ring.outcome(4) == TestRing.name(ETIME))
        #expect(ring.isQuiet())
        #expect(peer.unread == 0)
    }

    @Test func onlyWhoAsksHearsWhetherBytesWereCopied() throws {
        for copies in [true, false] {
            var configuration = SimulatedKernel.Configuration()
            configuration.zeroCopySendCopies = copies
            let kernel = SimulatedKernel(configuration: configuration)
            let ring = try TestRing(kernel)
            let (socket, peer) = try served(kernel, ring)
            ring.sendZeroCopy(1, socket, ring.buffer("hello"), usage: true)
            #expect(ring.zeroCopyOutcome(1) == "5, notified \(copies ? "copied" : "")")
            ring.sendZeroCopy(2, socket, ring.buffer("hello"))
            #expect(ring.zeroCopyOutcome(2) == "5, notified ")
            #expect(peer.received == "hellohello")
            // What was not sent was not sent without a copy.
            kernel.completeNext(.sendZeroCopy, with: .noMemory)
            ring.sendZeroCopy(3, socket, ring.buffer("hello"), usage: true)
            #expect(ring.zeroCopyOutcome(3) == "\(TestRing.name(ENOMEM)), notified copied")
        }
    }

    @Test func aFailureMayComeAlone() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (socket, _) = try served(kernel, ring)
        kernel.completeNext(.sendZeroCopy, with: .noMemory)
        ring.sendZeroCopy(1, socket, ring.buffer("hello"))
        #expect(ring.zeroCopyOutcome(1) == "\(TestRing.name(ENOMEM)), notified ")
        kernel.faults.failureWithoutNotification = 1
        kernel.completeNext(.sendZeroCopy, with: .noMemory)
        ring.sendZeroCopy(2, socket, ring.buffer("hello"))
        #expect(ring.zeroCopyOutcome(2) == "\(TestRing.name(ENOMEM)) alone")
        ring.sendZeroCopy(3, socket, ring.buffer("hello"))
        #expect(ring.zeroCopyOutcome(3) == "5, notified ")
        #expect(kernel.inFlightCount == 0)
    }

    @Test func aKernelWithoutZeroCopyRefusesIt() throws {
        var configuration = SimulatedKernel.Configuration.quiet
        configuration.capabilities.zeroCopySend = false
        let kernel = SimulatedKernel(configuration: configuration)
        let ring = try TestRing(kernel)
        let (socket, _) = try served(kernel, ring)
        ring.sendZeroCopy(1, socket, ring.buffer("hello"))
        #expect(ring.zeroCopyOutcome(1) == "\(TestRing.name(EINVAL)) alone")
    }

    @Test func aMessageOfSeveralPiecesIsSentWithoutACopy() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (socket, peer) = try served(kernel, ring)
        ring.sendmsg(1, socket, [ring.buffer("hello, "), ring.buffer("world")], zeroCopy: true)
        #expect(ring.zeroCopyOutcome(1) == "12, notified ")
        #expect(peer.received == "hello, world")
    }
}
