import CLiburing
import Glibc
import SystemPackage
import Testing

@testable import UringReactor

@Suite(.timeLimit(.minutes(20))) struct SocketsTests {
    private let kernel = IOUringKernel()

    private func isCloseOnExec(_ descriptor: FileDescriptor) -> Bool {
        fcntl(descriptor.rawValue, F_GETFD) & FD_CLOEXEC != 0
    }

    // MARK: - Accept and connect

    @Test func acceptAndConnect() throws {
        let reactor = try Reactor.quiet()
        let listener = try Listener()
        let client = try kernel.socket(.ipv4)
        let (accepted, connected) = (Outcomes<FileDescriptor>(), Outcomes<Void>())
        reactor.accept(on: listener.socket, accepted.note)
        reactor.connect(client, to: listener.address, connected.note)
        try reactor.runToIdle()
        #expect(connected.onlyValue != nil)
        let peer = try #require(accepted.onlyValue)
        #expect(isCloseOnExec(peer))
        #expect(try kernel.remoteAddress(of: peer) == kernel.localAddress(of: client))
        try peer.close()
        try client.close()
    }

    @Test func multishotAcceptsThemAll() throws {
        let reactor = try Reactor.quiet()
        let listener = try Listener()
        var (clients, accepted) = ([FileDescriptor](), [FileDescriptor]())
        let errors = Outcomes<FileDescriptor>()
        var token = OperationToken.none
        token = reactor.acceptMultishot(on: listener.socket) { result in
            guard case .success(let socket) = result else { return errors.note(result) }
            #expect(isCloseOnExec(socket))
            accepted.append(socket)
            if accepted.count == 20 { reactor.cancel(token) }
        }
        for _ in 0..<20 {
            let client = try kernel.socket(.ipv4)
            clients.append(client)
            reactor.connect(client, to: listener.address) { try $0.get() }
        }
        try reactor.runToIdle()
        #expect(accepted.count == 20 && Set(accepted.map(\.rawValue)).count == 20)
        #expect(errors.onlyError?.description
            == "accept on descriptor \(listener.socket.rawValue) failed: it was cancelled (ECANCELED)")
        // From one submission.
        #expect(reactor.statistics.startedByKind[.accept] == 1)
        for socket in clients + accepted { try socket.close() }
    }

    /// A full completion queue ends a multishot; nobody may notice.
    @Test func multishotAcceptIsStartedAgainWhenTheKernelEndsIt() throws {
        let reactor = try Reactor.quiet {
            $0.submissionEntries = 2
            $0.completionEntries = 2
        }
        let listener = try Listener()
        var accepted: [FileDescriptor] = []
        var clients: [FileDescriptor] = []
        for _ in 0..<30 { clients.append(try listener.connect()) }
        var token = OperationToken.none
        token = reactor.acceptMultishot(on: listener.socket) { result in
            guard case .success(let socket) = result else { return }
            accepted.append(socket)
            if accepted.count == 30 { reactor.cancel(token) }
        }
        for _ in 0..<50 { reactor.nop { _ in } }
        try reactor.runToIdle()
        #expect(accepted.count == 30)
        for socket in clients + accepted { try socket.close() }
    }

    @Test func acceptFailures() throws {
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        let socket = try kernel.socket(.ipv4)
        let (pipes, idle, all) = (Outcomes<FileDescriptor>(), Outcomes<FileDescriptor>(), Outcomes<FileDescriptor>())
        reactor.accept(on: pipe.reader, pipes.note)
        reactor.accept(on: socket, idle.note)
        reactor.acceptMultishot(on: pipe.reader, all.note)
        try reactor.runToIdle()
        #expect(pipes.onlyError?.description
            == "accept on descriptor \(pipe.reader.rawValue) failed: it is not a socket (ENOTSOCK)")
        #expect(idle.onlyError?.errno == .invalidArgument)
        #expect(all.onlyError?.errno == .notSocket)
        try socket.close()
    }

    @Test func connectFailures() throws {
        let reactor = try Reactor.quiet()
        let (tcp, unix) = (try kernel.socket(.ipv4), try kernel.socket(.unix))
        // A port on which nobody listens: bound by a socket that does not.
        let bound = try kernel.socket(.ipv4)
        try kernel.bind(bound, to: .loopback())
        let address = try kernel.localAddress(of: bound)
        let (refused, missing, closed) = (Outcomes<Void>(), Outcomes<Void>(), Outcomes<Void>())
        reactor.connect(tcp, to: address, refused.note)
        reactor.connect(unix, to: try .unix(path: "/nonexistent/socket"), missing.note)
        reactor.connect(FileDescriptor(rawValue: 999_999), to: address, closed.note)
        try reactor.runToIdle()
        #expect(refused.onlyError?.description == "connect to \(address) failed: nobody listens there (ECONNREFUSED)")
        #expect(missing.onlyError?.description
            == "connect to unix:/nonexistent/socket failed: there is no such socket (ENOENT)")
        #expect(closed.onlyError?.errno == .badFileDescriptor)
        for socket in [tcp, unix, bound] { try socket.close() }
    }

    /// A listener whose backlog is full lets a connect wait.
    @Test(arguments: [0, 1, 2]) func aConnectThatWaits(ending: Int) throws {
        let reactor = try Reactor.quiet()
        let path = "/tmp/uring-reactor-backlog-\(getpid())-\(ending)"
        let address = try SocketAddress.unix(path: path)
        let (listener, first, second) = (try kernel.socket(.unix), try kernel.socket(.unix), try kernel.socket(.unix))
        try kernel.unlink(path)
        try kernel.bind(listener, to: address)
        try kernel.listen(listener, backlog: 0)
        defer {
            try? kernel.unlink(path)
            for socket in [listener, first, second] { try? socket.close() }
        }
        let waiting = Outcomes<Void>()
        reactor.connect(first, to: address) { result in
            try result.get()
            let token = reactor.connect(second, to: address, timeout: ending == 1 ? .milliseconds(5) : nil, waiting.note)
            reactor.after(.milliseconds(1)) {
                if ending == 0 { reactor.cancel(token) }
                if ending == 2 { reactor.stop() }
            }
        }
        try reactor.run(.untilIdle)
        // A kernel that does not wait on Unix sockets says EAGAIN at once.
        let expected: [Errno] = [ending == 1 ? .timedOut : .canceled, .resourceTemporarilyUnavailable]
        #expect(expected.contains(try #require(waiting.onlyError?.errno)))
        #expect(reactor.statistics.operations == 0)
    }

    // MARK: - Receive

    @Test func receiveWhatHasComeAndTheEnd() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        var received: [Bytes] = []
        func receive() {
            reactor.receive(from: pair.left, upTo: 4) { result in
                let bytes = try result.get()
                received.append(bytes)
                if !bytes.isEmpty { receive() }
            }
        }
        receive()
        reactor.send("abcdef", to: pair.right) { _ in
            reactor.shutdown(pair.right, .sending) { try $0.get() }
        }
        try reactor.runToIdle()
        #expect(received == ["abcd", "ef", ""])
        #expect(reactor.statistics.bytesReceived == 6)
        #expect(reactor.statistics.bytesSent == 6)
    }

    @Test func receiveIntoEachSizeOfBuffer() throws {
        let reactor = try Reactor.quiet { $0.receiveBufferSize = 64 }
        let pair = try SocketPair()
        let text = Bytes((0..<5000).map { UInt8(truncatingIfNeeded: $0) })
        reactor.send(text, to: pair.right) { _ in }
        var received: [Bytes] = []
        func receive(_ sizes: ArraySlice<Int>) {
            guard let size = sizes.first else { return }
            reactor.receive(from: pair.left, upTo: size) { result in
                let bytes = try result.get()
                #expect(bytes.count == size)
                received.append(bytes)
                receive(sizes.dropFirst())
            }
        }
        receive([1, 64, 65, 256, 257, 1024, 1025])
        try reactor.runToIdle()
        #expect(received.reduce(Bytes(), +) == text.prefix(received.reduce(0) { $0 + $1.count }))
        #expect(received.count == 7)
    }

    /// Slices that are kept are not written over, and dropped ones cost no new buffers.
    @Test func receiveBuffersAreUsedAgain() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        var rounds = 0
        var kept: [Bytes] = []
        func round() {
            reactor.send(Bytes([UInt8(truncatingIfNeeded: rounds)]), to: pair.right) { _ in }
            reactor.receive(from: pair.left) { result in
                let bytes = try result.get()
                // Some are kept for good: more than the pool would remember.
                if rounds % 2 == 0 { kept.append(bytes) }
                rounds += 1
                if rounds < 1000 { round() }
            }
        }
        round()
        try reactor.runToIdle()
        #expect(kept.map { Int($0[0]) } == stride(from: 0, to: 1000, by: 2).map { $0 % 256 })
        #expect(reactor.statistics.receiveBufferAllocations <= 501)
    }

    @Test func receiveFailures() throws {
        let reactor = try Reactor.quiet()
        let socket = try kernel.socket(.ipv4)
        let pipe = try Pipe()
        let (unconnected, pipes) = (Outcomes<Bytes>(), Outcomes<Bytes>())
        reactor.receive(from: socket, unconnected.note)
        reactor.receive(from: pipe.reader, pipes.note)
        try reactor.runToIdle()
        #expect(unconnected.onlyError?.description
            == "receive from descriptor \(socket.rawValue) failed: it is not connected (ENOTCONN)")
        #expect(pipes.onlyError?.errno == .notSocket)
        try socket.close()
    }

    @Test func aResetIsSaid() throws {
        let reactor = try Reactor.quiet()
        let listener = try Listener()
        let client = try listener.connect()
        let outcomes = Outcomes<Bytes>()
        reactor.accept(on: listener.socket) { result in
            let peer = try result.get()
            reactor.receive(from: client, outcomes.note)
            // Closing with a zero linger sends a reset.
            var linger = linger(l_onoff: 1, l_linger: 0)
            unsafe setsockopt(
                peer.rawValue, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
            reactor.close(peer)
        }
        try reactor.runToIdle()
        #expect(outcomes.onlyError?.description
            == "receive from descriptor \(client.rawValue) failed: the peer reset the connection (ECONNRESET)")
        try client.close()
    }

    // MARK: - Send

    @Test func nothingIsSentAtOnce() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        let (bytes, pieces, empties) = (Outcomes<Int>(), Outcomes<Int>(), Outcomes<Int>())
        reactor.send("", to: pair.left, bytes.note)
        reactor.send([], to: pair.left, pieces.note)
        reactor.send(["", "", ""], to: pair.left, empties.note)
        try reactor.runToIdle()
        #expect([bytes, pieces, empties].map(\.onlyValue) == [0, 0, 0])
    }

    @Test func sendFailures() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        let socket = try kernel.socket(.ipv4)
        try pair.closeRight()
        let (broken, pieces, unconnected) = (Outcomes<Int>(), Outcomes<Int>(), Outcomes<Int>())
        reactor.send("x", to: pair.left, broken.note)
        reactor.send(["x", "y"], to: pair.left, pieces.note)
        reactor.send("x", to: FileDescriptor(rawValue: 999_999), unconnected.note)
        try reactor.runToIdle()
        let text = "send to descriptor \(pair.left.rawValue) failed: the connection is closed for sending (EPIPE)"
        #expect(broken.onlyError?.description == text)
        #expect(pieces.onlyError?.description == text)
        #expect(unconnected.onlyError?.description
            == "send to descriptor 999999 failed: it is not an open descriptor (EBADF)")
        try socket.close()
    }

    /// However the pieces are cut and however slowly they are read, they arrive whole and in order.
    @Test(arguments: [1, 2, 3, 1023, 1024, 1025, 2500]) func piecesArriveInOrder(count: Int) throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair(buffer: 4096)
        let pieces = (0..<count).map { number in
            number % 5 == 3 ? Bytes() : Bytes([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number % 97 + 1))
        }
        let expected = pieces.reduce(into: [UInt8]()) { $0 += $1 }
        let sent = Outcomes<Int>()
        reactor.send(pieces, to: pair.left, sent.note)
        var received: [UInt8] = []
        func receive() {
            reactor.receive(from: pair.right, upTo: 999) { result in
                received += try result.get()
                if received.count < expected.count { receive() }
            }
        }
        receive()
        try reactor.runToIdle()
        #expect(sent.onlyValue == expected.count)
        #expect(received == expected)
        #expect(reactor.statistics.bytesSent == UInt64(expected.count))
    }

    /// What does not fit into one vector is no short send.
    @Test func manyPiecesAreNotShort() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        let sent = Outcomes<Int>()
        reactor.send([Bytes](repeating: "x", count: 3000), to: pair.left, sent.note)
        var received = 0
        func receive() {
            reactor.receive(from: pair.right) {
                received += try $0.get().count
                if received < 3000 { receive() }
            }
        }
        receive()
        try reactor.runToIdle()
        #expect(sent.onlyValue == 3000)
        #expect(reactor.statistics.shortSends == 0)
        #expect(reactor.statistics.startedByKind[.send] == 3)
    }

    /// The kernel says of a send what it has taken; the rest follows, as often as it takes.
    @Test(arguments: [false, true]) func shortSendsAreFinished(asPieces: Bool) throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        let outcomes = Outcomes<Int>()
        let token = asPieces
            ? reactor.send(["abc", "defg", "hi"], to: pair.left, outcomes.note)
            : reactor.send("abcdefghi", to: pair.left, outcomes.note)
        let slot = unsafe reactor.registry.slots.pointer(to: token.slot)
        // As if the kernel had taken four, and then two.
        for (taken, left) in [(4, 5), (2, 3)] {
            reactor.registry.complete(Completion(userData: token.rawValue, result: Int32(taken), flags: 0), token)
            #expect(outcomes.count == 0)
            var entry = io_uring_sqe()
            unsafe CallbackRegistry.prepare(&entry, slot)
            if asPieces {
                let vector = unsafe slot.pointee.attachment as? VectorBlock
                #expect(vector?.offered == left)
            } else {
                #expect(entry.len == UInt32(left))
            }
        }
        reactor.registry.complete(Completion(userData: token.rawValue, result: 3, flags: 0), token)
        #expect(outcomes.onlyValue == 9)
        #expect(reactor.statistics.shortSends == 2)
        #expect(reactor.statistics.bytesSent == 9)
    }

    /// An entry has 32 bits for a length.
    @Test func moreThanAnEntryHolds() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        let huge = unsafe Bytes(owner: nil, start: Bytes("x" as StaticString).start, count: 1 << 32)
        let token = reactor.send(huge, to: pair.left) { _ in }
        var entry = io_uring_sqe()
        unsafe CallbackRegistry.prepare(&entry, reactor.registry.slots.pointer(to: token.slot))
        #expect(entry.len == UInt32(Int32.max))
    }

    // MARK: - Shutdown, close, poll

    @Test func shutdownEndsOneDirection() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        let (end, back, failed) = (Outcomes<Bytes>(), Outcomes<Bytes>(), Outcomes<Int>())
        reactor.receive(from: pair.right, end.note)
        reactor.shutdown(pair.left, .sending) { result in
            try result.get()
            reactor.send("still", to: pair.right) { _ in }
            reactor.receive(from: pair.left, back.note)
            reactor.send("no more", to: pair.left, failed.note)
        }
        try reactor.runToIdle()
        #expect(end.onlyValue == "")
        #expect(back.onlyValue == "still")
        #expect(failed.onlyError?.errno == .brokenPipe)
    }

    @Test func shutdownFailures() throws {
        let reactor = try Reactor.quiet()
        let socket = try kernel.socket(.ipv4)
        let outcomes = Outcomes<Void>()
        reactor.shutdown(socket, .both, outcomes.note)
        try reactor.runToIdle()
        #expect(outcomes.onlyError?.errno == .socketNotConnected)
        #expect(outcomes.onlyError?.description.hasPrefix("shutdown on descriptor \(socket.rawValue) failed: ") == true)
        try socket.close()
    }

    @Test func closeCloses() throws {
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        let duplicate = try pipe.reader.duplicate()
        let (closed, failed) = (Outcomes<Void>(), Outcomes<Void>())
        reactor.close(duplicate, closed.note)
        reactor.close(FileDescriptor(rawValue: 999_999), failed.note)
        try reactor.runToIdle()
        #expect(closed.onlyValue != nil)
        #expect(failed.onlyError?.description
            == "close on descriptor 999999 failed: it is not an open descriptor (EBADF)")
    }

    @Test func pollSaysWhatItIsReadyFor() throws {
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        let (writable, readable, hungUp, bad) =
            (Outcomes<PollEvents>(), Outcomes<PollEvents>(), Outcomes<PollEvents>(), Outcomes<PollEvents>())
        reactor.poll(pipe.writer, for: [.writable, .readable], writable.note)
        reactor.poll(pipe.reader, for: .readable) { result in
            readable.note(result)
            let byte = try pipe.reader.read(upTo: 1)
            #expect(byte == 1)
            reactor.poll(pipe.reader, for: .readable, hungUp.note)
            try pipe.closeWriter()
        }
        reactor.write("x", to: pipe.writer) { _ in }
        reactor.poll(FileDescriptor(rawValue: 999_999), for: .readable, bad.note)
        try reactor.runToIdle()
        #expect(writable.onlyValue == .writable)
        #expect(readable.onlyValue == .readable)
        #expect(hungUp.onlyValue == .hungUp)
        #expect(bad.onlyError?.description == "poll on descriptor 999999 failed: it is not an open descriptor (EBADF)")
    }

    @Test func multishotPollCallsEachTime() throws {
        let reactor = try Reactor.quiet()
        let waker = try eventDescriptor()
        var calls = 0
        let errors = Outcomes<PollEvents>()
        var token = OperationToken.none
        token = reactor.pollMultishot(waker.descriptor, for: .readable) { result in
            guard case .success(let events) = result else { return errors.note(result) }
            #expect(events == .readable)
            calls += 1
            if calls == 50 { reactor.cancel(token) } else { waker.wake() }
        }
        waker.wake()
        try reactor.runToIdle()
        waker.close()
        #expect(calls == 50)
        #expect(errors.onlyError?.isCancelled == true)
        #expect(reactor.statistics.startedByKind[.poll] == 1)
    }

    @Test func nopsKeepTheirOrder() throws {
        let reactor = try Reactor.quiet()
        var order: [Int] = []
        for number in 0..<300 { reactor.nop { _ in order.append(number) } }
        #expect(order.isEmpty)
        try reactor.runToIdle()
        #expect(order == Array(0..<300))
    }
}

extension FileDescriptor {
    /// Reads up to `most` bytes and forgets them.
    fileprivate func read(upTo most: Int) throws -> Int {
        unsafe try withUnsafeTemporaryAllocation(byteCount: most, alignment: 1) { unsafe try read(into: $0) }
    }
}
