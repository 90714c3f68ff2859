import CLiburing
import CTestSupport
import Glibc
import SystemPackage
import Testing

@testable import UringReactor

@Suite(.timeLimit(.minutes(20))) struct RingTests {
    @Test func layoutsAreThoseOfTheKernel() {
        #expect(MemoryLayout<io_uring_sqe>.size == 64)
        #expect(MemoryLayout<io_uring_cqe>.size == 16)
    }

    /// Each bit that an operation does not set itself must be zero, whoever had the place before.
    @Test func entriesInheritNothing() throws {
        let kernel = try MemoryKernel(startingAt: 0)
        kernel.records = true
        let ring = try Ring(kernel: kernel, request: RingRequest(submissionEntries: 2, completionEntries: 4))
        try ring.enable()
        for user in 1...4 {
            unsafe ring.prepare(userData: UInt64(user)) { unsafe $0.pointee.opcode = UInt8(IORING_OP_NOP.rawValue) }
            ring.enter(wait: false)
            #expect(ring.nextCompletion()?.userData == UInt64(user))
        }
        #expect(kernel.consumed.count == 4)
        for entry in kernel.consumed {
            #expect(entry.flags == 0 && entry.ioprio == 0 && entry.fd == 0 && entry.len == 0 && entry.buf_index == 0)
            #expect(entry.rw_flags == 0 && entry.personality == 0 && entry.splice_fd_in == 0 && entry.addr == 0)
        }
    }

    @Test(arguments: [0, .max - 1, .max, .max - 2, 0x7fff_ffff] as [UInt32]) func indicesWrap(start: UInt32) throws {
        let kernel = try MemoryKernel(startingAt: start)
        let ring = try Ring(kernel: kernel, request: RingRequest(submissionEntries: 4, completionEntries: 8))
        try ring.enable()
        var next: UInt64 = 0
        var expected: UInt64 = 0
        for batch in 1...30 {
            for _ in 0..<batch {
                unsafe ring.prepare(userData: next) { unsafe io_uring_prep_nop($0) }
                next += 1
            }
            while expected < next {
                ring.enter(wait: false)
                while let completion = ring.nextCompletion() {
                    #expect(completion.userData == expected)
                    expected += 1
                }
            }
            #expect(ring.queued == 0)
            #expect(ring.completionsReady == 0)
        }
        #expect(ring.counters.submitted == next)
    }

    @Test(arguments: [UInt32.max - 2, 0]) func aReactorRunsAcrossTheWrap(start: UInt32) throws {
        let reactor = try Reactor.quiet(kernel: MemoryKernel(startingAt: start)) {
            $0.submissionEntries = 4
            $0.completionEntries = 8
        }
        var order: [Int] = []
        for number in 0..<100 { reactor.nop { _ in order.append(number) } }
        try reactor.runToIdle()
        #expect(order == Array(0..<100))
        #expect(reactor.statistics.completionOverflows > 0)
    }

    @Test func everyEnterIsCountedAndItsBatchToo() throws {
        let reactor = try Reactor.quiet { $0.submissionEntries = 4 }
        for _ in 0..<10 { reactor.nop { _ in } }
        #expect(reactor.statistics.submissionOverflows == 6)
        try reactor.runToIdle()
        let statistics = reactor.statistics
        #expect(statistics.operationsPerEnter.max <= 4)
        #expect(statistics.operationsPerEnter.totalCount >= 3)
        #expect(statistics.submitted == statistics.startedByKind.nonzero.reduce(0) { $0 + $1.count })
    }

    @Test func aFullSubmissionQueueKeepsTheOrderBeforeTheRun() throws {
        let reactor = try Reactor.quiet { $0.submissionEntries = 4 }
        var order: [Int] = []
        for number in 0..<1000 { reactor.nop { _ in order.append(number) } }
        try reactor.runToIdle()
        #expect(order == Array(0..<1000))
    }

    @Test func aFullSubmissionQueueKeepsTheOrderDuringTheRun() throws {
        let reactor = try Reactor.quiet { $0.submissionEntries = 4 }
        var order: [Int] = []
        reactor.nop { _ in
            for number in 0..<1000 { reactor.nop { _ in order.append(number) } }
        }
        try reactor.runToIdle()
        #expect(order == Array(0..<1000))
        #expect(reactor.statistics.startedByKind[.nop] == 1001)
    }

    @Test func aFullCompletionQueueLosesNothing() throws {
        let reactor = try Reactor.quiet {
            $0.submissionEntries = 4
            $0.completionEntries = 4
        }
        var order: [Int] = []
        for number in 0..<1000 { reactor.nop { _ in order.append(number) } }
        try reactor.runToIdle()
        #expect(order.sorted() == Array(0..<1000))
        #expect(reactor.statistics.completionOverflows > 0)
    }

    /// The multishot poll of the waker ends when the completion queue is full. It has to be armed again.
    @Test func postsArriveAfterTheCompletionQueueWasFull() throws {
        let reactor = try Reactor.quiet {
            $0.submissionEntries = 4
            $0.completionEntries = 4
        }
        let handle = reactor.handle
        var posted = 0
        reactor.nop { _ in
            for _ in 0..<500 { reactor.nop { _ in } }
        }
        let thread = TestThread {
            for _ in 0..<100 { handle.post {} }
            handle.post { Reactor.current?.stop() }
        }
        reactor.every(.milliseconds(1)) { posted += 1 }
        try reactor.run()
        thread.join()
        #expect(reactor.statistics.operations == 0)
    }

    @Test(arguments: [EINTR, EAGAIN, EBUSY]) func failuresOfEnterThatPass(errno: Int32) throws {
        let kernel = FaultyKernel()
        let reactor = try Reactor.quiet(kernel: kernel)
        kernel.failures = [-errno, -errno, -errno]
        var order: [Int] = []
        for number in 0..<10 {
            reactor.nop { _ in
                order.append(number)
                kernel.failures.append(-errno)
            }
        }
        try reactor.runToIdle()
        #expect(order == Array(0..<10))
        #expect(reactor.statistics.interruptedEnters == (errno == EINTR ? 13 : 0))
    }

    /// Not under a sanitizer: what the kernel may still write to is never freed, which one calls a leak.
    @Test(.enabled(if: allocation_counter_works())) func aBrokenRingIsSaid() throws {
        let kernel = FaultyKernel()
        let reactor = try Reactor.quiet(kernel: kernel)
        kernel.failures = [-EBADR]
        reactor.nop { _ in }
        let error = #expect(throws: ReactorError.self) { try reactor.run() }
        #expect(error?.description == "the ring failed: \(Errno(rawValue: EBADR)) (EBADR)")
        #expect(throws: ReactorError.finished) { try reactor.run() }
        #expect(reactor.handle.post {} == nil)
    }

    @Test(arguments: [1, 3]) func partialSubmitsAreContinued(most: UInt32) throws {
        let kernel = FaultyKernel()
        kernel.mostPerEnter = most
        let reactor = try Reactor.quiet(kernel: kernel) { $0.submissionEntries = 8 }
        var order: [Int] = []
        for number in 0..<100 { reactor.nop { _ in order.append(number) } }
        try reactor.runToIdle()
        #expect(order == Array(0..<100))
        #expect(reactor.statistics.partialSubmits > 0)
    }

    /// What found no place waits beside the queue; what comes later must not overtake it when there is a place again.
    @Test func nothingOvertakesWhatHadToWait() throws {
        let kernel = FaultyKernel()
        let reactor = try Reactor.quiet(kernel: kernel) { $0.submissionEntries = 4 }
        var order: [Int] = []
        reactor.nop { _ in
            kernel.failures = [-EAGAIN]
            for number in 0..<20 { reactor.nop { _ in order.append(number) } }
        }
        try reactor.runToIdle()
        #expect(order == Array(0..<20))
    }

    @Test func aBusyKernelWithAnOverflowIsAskedToReap() throws {
        let kernel = FaultyKernel()
        kernel.records = true
        let reactor = try Reactor.quiet(kernel: kernel) { $0.submissionEntries = 4 }
        for _ in 0..<9 { reactor.nop { _ in } }
        kernel.failures = [-EBUSY]
        try reactor.runToIdle()
        #expect(kernel.requests.first?.reap == true)
    }
}
