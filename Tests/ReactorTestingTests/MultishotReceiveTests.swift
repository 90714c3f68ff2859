import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

@Suite struct MultishotReceiveTests {
    @Test func itMayEndWithBytesInItsLastCompletion() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers()
        let (near, far, _) = try ring.connection()
        kernel.faults.multishotEnd = 1
        ring.receive(1, far)
        ring.send(2, near, ring.buffer("hello"))
        #expect(buffers.describe(ring.wait(for: 1)) == "5 'hello' in 0")
        #expect(kernel.inFlightCount == 0)
    }

    @Test func itMayFindNoBufferThoughThereAreSome() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers()
        let (near, far, _) = try ring.connection()
        ring.receive(1, far)
        ring.enter()
        kernel.faults.noBuffers = 1
        ring.send(2, near, ring.buffer("hello"))
        #expect(buffers.describe(ring.wait(for: 1)) == "\(TestRing.name(ENOBUFS)) ''")
        kernel.faults = .none
        // Neither a byte nor a buffer is lost.
        ring.receive(3, far)
        #expect(buffers.describe(ring.wait(for: 3)) == "5 'hello' in 0 more")
        #expect(kernel.providedBuffers(ofGroup: 0).count == 3)
    }

    @Test func itLetsOthersGoFirstAfterAWhile() throws {
        let ring = try TestRing(SimulatedKernel())
        _ = try ring.buffers(count: 64, size: 1)
        let (near, far, _) = try ring.connection()
        ring.send(1, near, ring.buffer(40))
        ring.wait(for: 1)
        ring.receive(2, far)
        ring.nop(3)
        ring.enter()
        // Linux 6.18 does exactly the same: one receive, and 32 more.
        let expected = [UInt64](repeating: 2, count: 33) + [3] + [UInt64](repeating: 2, count: 7)
        #expect(ring.completions().map(\.userData) == expected)
    }

    @Test func aLengthIsRefused() throws {
        let ring = try TestRing(SimulatedKernel(configuration: .quiet))
        _ = try ring.buffers()
        let (_, far, _) = try ring.connection()
        ring.receive(1, far, length: 8)
        #expect(ring.outcome(1) == TestRing.name(EINVAL))
    }

    @Test func anErrorAfterBytesIsAnError() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers()
        let (near, far, _) = try ring.connection()
        ring.receive(1, far)
        ring.send(2, near, ring.buffer("hello"))
        #expect(ring.outcome(1) == "5 more")
        kernel.completeNext(.recv, with: .noMemory)
        ring.send(3, near, ring.buffer("x"))
        #expect(buffers.describe(ring.wait(for: 1)) == "\(TestRing.name(ENOMEM)) ''")
    }

    @Test func itsBytesCanBeShort() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers()
        let (near, far, _) = try ring.connection()
        kernel.shortenNext(.recv, to: 2)
        ring.receive(1, far)
        ring.send(2, near, ring.buffer("hello"))
        #expect(buffers.describe(ring.wait(for: 1)) == "2 'he' in 0 more")
        #expect(buffers.describe(ring.wait(for: 1)) == "3 'llo' in 1 more")
    }

    @Test func aUnixSocketLooksAgainAndFindsTheRingEmpty() throws {
        for (address, last) in [
            (SocketAddress.loopback(), "nothing"), (try SocketAddress.unix(path: "/s"), "\(TestRing.name(ENOBUFS)) ''"),
        ] {
            let ring = try TestRing(SimulatedKernel())
            let buffers = try ring.buffers(count: 1)
            let (near, far, _) = try ring.connection(address)
            ring.receive(1, far)
            ring.send(2, near, ring.buffer("hello"))
            #expect(buffers.describe(ring.wait(for: 1)) == "5 'hello' in 0 more")
            #expect(buffers.describe(ring.wait(for: 1)) == last)
        }
    }

    @Test func aCancelThatIsTooLateLetsItGoOnAndThenEnd() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers()
        let (near, far, _) = try ring.connection()
        ring.receive(1, far)
        ring.enter()
        kernel.loseNextCancel()
        ring.cancel(2, target: 1)
        ring.send(3, near, ring.buffer("hello"))
        #expect(ring.outcome(2) == TestRing.name(EALREADY))
        #expect(buffers.describe(ring.wait(for: 1)) == "5 'hello' in 0 more")
        let end = ring.wait(for: 1)
        #expect([-ECANCELED, -EINTR].contains(end.result) && !end.hasMore && end.buffer == nil)
        // One more byte is for whoever comes next.
        ring.send(4, near, ring.buffer("!"))
        ring.receive(5, far)
        #expect(buffers.describe(ring.wait(for: 5)) == "1 '!' in 1 more")
    }

    @Test func itDoesNotOvertakeAReceiveThatIsLate() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let buffers = try ring.buffers()
        let (near, far, _) = try ring.connection()
        ring.send(1, near, ring.buffer("hello, world"))
        ring.wait(for: 1)
        kernel.faults.lateCompletion = 1
        ring.receive(2, far, multishot: false)
        ring.enter(reap: false)
        kernel.faults = .none
        ring.receive(3, far)
        ring.enter()
        #expect(ring.ready == 0)
        var found: [TestRing.Completion] = []
        while found.count < 2 {
            ring.enter(wait: 1)
            found += ring.completions()
        }
        #expect(found.map(\.userData) == [2, 3])
        #expect(found.map(buffers.describe) == ["8 'hello, w' in 0", "4 'orld' in 1"])
    }
}
