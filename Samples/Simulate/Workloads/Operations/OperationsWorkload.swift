import ReactorTesting
import SystemPackage
import UringReactor

/// Bare operations with callbacks: on sockets, files and timers, with timeouts, and cancelled at any moment.
final class OperationsWorkload: Play {
    let calls: any Kernel
    /// No connection breaks by itself, so none times out by itself.
    let isCalm: Bool
    private(set) var tickets: [Ticket] = []
    private var jobs: [Job] = []
    private var posts = (made: 0, done: 0, cancelled: 0)
    private var wires: [Wire] = []
    private var files: [FileStory] = []
    private var listener: FileDescriptor?
    private var accepting: Ticket?
    private(set) var address = SocketAddress.loopback()
    private var steps: Int

    init(seed: UInt64, random: SplitMix64, in world: any World, calls: any Kernel, isCalm: Bool) {
        self.isCalm = isCalm
        self.calls = calls
        var random = random
        steps = random.next(in: 5...40)
        super.init(seed: seed, random: random, in: world)
    }

    override func populate() throws {
        let path = world.scratchPath.flatMap { chance(0.3) ? try? SocketAddress.unix(path: $0) : nil }
        let listener = try calls.socket(path == nil ? .ipv4 : .unix)
        try calls.bind(listener, to: path ?? .loopback())
        try calls.listen(listener, backlog: 64)
        address = try calls.localAddress(of: listener)
        self.listener = listener
        accept()
        for _ in 0..<2 { later { [unowned self] in step() } }
    }

    // MARK: - Tickets

    /// Starts an operation whose callback is counted.
    @discardableResult
    func start(
        _ name: String, on place: Int = -1, isTimed: Bool = false, isMultishot: Bool = false,
        _ body: (Ticket) -> OperationToken
    ) -> Ticket {
        let ticket = Ticket(
            self, "\(name) \(tickets.count)", place: place, isTimed: isTimed, isMultishot: isMultishot)
        tickets.append(ticket)
        ticket.token = body(ticket)
        return ticket
    }

    func cancel(_ ticket: Ticket) {
        guard let token = ticket.token else { return }
        let wasThere = reactor.cancel(token)
        if wasThere, ticket.isOver { fail("\(ticket.name) could be cancelled after its end") }
        // What has run into its timeout is cancelled already.
        if !wasThere, !ticket.isOver, !ticket.isCancelled, !ticket.isTimed, !reactor.isStopping {
            fail("\(ticket.name) waits, and could not be cancelled")
        }
        ticket.isCancelled = true
    }

    /// Some have a timeout.
    func timeout() -> Duration? { chance(0.3) ? .microseconds(delay()) : nil }

    private func isAtWork(_ place: Int) -> Bool { tickets.contains { $0.place == place && !$0.isOver } }

    /// Closes a descriptor when nothing is in flight on it, after asking for the end of all that is.
    func close(_ descriptor: FileDescriptor, _ place: Int, _ closed: @escaping () -> Void = {}) {
        guard isAtWork(place) else {
            start("close") { ticket in
                reactor.close(descriptor) { result in
                    ticket.called(result)
                    closed()
                }
            }
            return
        }
        for ticket in tickets where ticket.place == place { ticket.isCancelled = true }
        start("cancel of all") { ticket in
            reactor.cancelAll(on: descriptor) { [self] in
                ticket.called($0)
                // What was told to end may take its time.
                reactor.nop { [self] _ in
                    guard !reactor.isStopping else { return }
                    reactor.after(.microseconds(100)) { [self] in close(descriptor, place, closed) }
                }
            }
        }
    }

    // MARK: - Steps

    private func step() {
        guard !isFinishing, steps > 0 else { return }
        steps -= 1
        for _ in 0..<number(1...3) { act() }
        if chance(0.004) { stop() }
        later { [unowned self] in step() }
    }

    private func act() {
        switch number(0...13) {
        case 0: start("nop") { ticket in reactor.nop { ticket.called($0) } }
        case 1: startTimeout()
        case 2: startJob("after", most: 1)
        case 3: startJob("every", most: number(2...6))
        case 4: post()
        case 5, 6: connect()
        case 7: farLater { [unowned self] in visit() }
        case 8: if files.count < 3 { write() }
        case 9, 10: if let ticket = tickets.last(where: { !$0.isOver && chance(0.5) }) { cancel(ticket) }
        case 11: if let job = jobs.last(where: { !$0.isDone && chance(0.5) }) { job.cancel() }
        case 12: if let wire = wires.last(where: { $0.isOpen && chance(0.3) }) { wire.close() }
        default: if accepting == nil { accept() }
        }
    }

    private func startTimeout() {
        let start = world.now()
        let microseconds = delay()
        self.start("timeout") { ticket in
            reactor.timeout(after: .microseconds(microseconds)) { [self] result in
                ticket.called(result)
                // One that a cancel came too late for was firing, as far as the simulated kernel is concerned.
                guard case .success = result, !ticket.isCancelled, !reactor.isStopping else { return }
                let passed = world.now() - start
                if passed < UInt64(microseconds) * 1_000 { fail("\(ticket.name) came after \(passed) ns") }
            }
        }
    }

    private func startJob(_ name: String, most: Int) {
        let job = Job(self, "\(name) \(jobs.count)", most: most)
        jobs.append(job)
        let period = Duration.microseconds(pick([1, 50, 150, 2_000]))
        job.token = most == 1
            ? reactor.after(.microseconds(delay())) { job.beat() } : reactor.every(period) { job.beat() }
    }

    private func post() {
        posts.made += 1
        let mayCancel = chance(0.3)
        nonisolated(unsafe) let play = self // Never leaves this thread.
        let posted = reactor.handle.post { unsafe play.posts.done += 1 }
        if mayCancel, let posted, posted.cancel() { posts.cancelled += 1 }
    }

    private func accept() {
        guard let listener, !isFinishing else { return }
        let isMultishot = chance(0.5)
        let timeout = isMultishot ? nil : timeout()
        accepting = start("accept", on: 0, isTimed: timeout != nil, isMultishot: isMultishot) { ticket in
            let accepted = { [self] (result: Result<FileDescriptor, IOError>) in
                ticket.called(result)
                if case .success(let descriptor) = result { adopt(descriptor) }
                guard ticket.isOver else { return }
                accepting = nil
                if !reactor.isStopping { later { [unowned self] in if accepting == nil { accept() } } }
            }
            return isMultishot
                ? reactor.acceptMultishot(on: listener, accepted)
                : reactor.accept(on: listener, timeout: timeout, accepted)
        }
    }

    /// A far end connects.
    private func visit() {
        guard !isFinishing, let far = try? world.connect(to: address) else { return }
        _ = FarScript(self, far)
    }

    private func connect() {
        let target: SocketAddress
        switch number(0...3) {
        case 0: target = address
        case 1: target = world.makeSilentAddress() ?? address
        default:
            guard let scripted = try? world.listen(onAccept: { [unowned self] in _ = FarScript(self, $0) }) else { return }
            target = scripted
        }
        guard let socket = try? calls.socket(target.family) else { return }
        let wire = Wire(self, wires.count + 1, socket)
        wires.append(wire)
        let timeout = timeout()
        start("connect", on: wire.number, isTimed: true) { ticket in
            reactor.connect(socket, to: target, timeout: timeout) { result in
                ticket.called(result)
                if case .success = result { wire.begin() } else { wire.close() }
            }
        }
    }

    private func adopt(_ descriptor: FileDescriptor) {
        let wire = Wire(self, wires.count + 1, descriptor)
        wires.append(wire)
        if isFinishing { wire.close() } else { wire.begin() }
    }

    private func write() {
        guard let path = world.scratchPath else { return }
        let story = FileStory(self, 1_000 + files.count, FilePath(path))
        files.append(story)
        story.begin()
    }

    // MARK: - Stages

    override func finish() {
        for job in jobs where !job.isDone && job.most > 1 { job.cancel() }
        for wire in wires { wire.close() }
        if let listener {
            self.listener = nil
            close(listener, 0)
        }
    }

    override func checkFinished() {
        for ticket in tickets where !ticket.isOver { fail("\(ticket.name) was never called back\n\(world.state)") }
        for ticket in tickets where !ticket.isMultishot && ticket.calls != 1 {
            fail("\(ticket.name) was called back \(ticket.calls) times")
        }
        for job in jobs where !job.isDone { fail("\(job.name) was done \(job.beats) times of \(job.most)") }
        if posts.done + posts.cancelled != posts.made { fail("of posts \(posts)") }
        if reactor.statistics.operations > 0 { fail("\(reactor.statistics.operations) operations are open") }
    }

    override func checkOver() {
        for ticket in tickets where !ticket.isOver { fail("\(ticket.name) was not called back in the end") }
        // What the end of the reactor left open is ours.
        if let listener { calls.close(listener) }
        for wire in wires { wire.letGo() }
        for file in files { file.letGo() }
        tickets = []
        jobs = []
    }
}
