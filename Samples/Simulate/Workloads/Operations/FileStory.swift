import SystemPackage
import UringReactor

/// A file that is made, written, read and closed, one operation after the other, and compared with what it must hold.
final class FileStory {
    private unowned let play: OperationsWorkload
    private let number: Int
    private let path: FilePath
    private var file: FileDescriptor?
    private var contents: [UInt8] = []
    /// A write has failed: how much of it is in the file nobody knows.
    private var isUncertain = false
    private var steps: Int

    init(_ play: OperationsWorkload, _ number: Int, _ path: FilePath) {
        (self.play, self.number, self.path) = (play, number, path)
        steps = play.number(1...8)
    }

    private var reactor: Reactor { play.reactor }

    func begin() {
        start("open") { ticket, timeout in
            reactor.open(path, .readWrite, options: [.create], timeout: timeout) { [self] result in
                ticket.called(result)
                guard let file = try? result.get() else { return check(result, ticket) }
                self.file = file
                step()
            }
        }
    }

    private func start(_ name: String, _ body: (Ticket, Duration?) -> OperationToken) {
        let timeout = play.timeout()
        play.start(name, on: number, isTimed: timeout != nil) { body($0, timeout) }
    }

    private func step() {
        guard let file, !reactor.isStopping else { return }
        guard steps > 0, !play.isFinishing else {
            self.file = nil
            return play.close(file, number)
        }
        steps -= 1
        switch play.number(0...4) {
        case 0, 1: write(file)
        case 2: read(file)
        case 3:
            start("size") { ticket, timeout in
                reactor.size(of: file, timeout: timeout) { [self] result in
                    ticket.called(result)
                    if case .success(let size) = result, !isUncertain, size != contents.count {
                        play.fail("\(ticket.name) is \(size), not \(contents.count)")
                    }
                    goOn(result, ticket)
                }
            }
        default:
            start("fsync") { ticket, timeout in
                reactor.fsync(file, dataOnly: play.chance(0.5), timeout: timeout) { [self] result in
                    ticket.called(result)
                    goOn(result, ticket)
                }
            }
        }
    }

    private func write(_ file: FileDescriptor) {
        let start = play.number(0...contents.count)
        let bytes = (0..<play.number(1...3_000)).map { Stream.byte(number, steps, $0) }
        self.start("write") { ticket, timeout in
            reactor.write(Bytes(bytes), to: file, at: Int64(start), timeout: timeout) { [self] result in
                ticket.called(result)
                if case .success(let count) = result {
                    if count != bytes.count { play.fail("\(ticket.name) wrote \(count) of \(bytes.count) bytes") }
                    contents.replaceSubrange(start..<min(contents.count, start + bytes.count), with: bytes)
                } else {
                    isUncertain = true
                }
                goOn(result, ticket)
            }
        }
    }

    private func read(_ file: FileDescriptor) {
        let start = play.number(0...contents.count)
        let most = play.number(1...4_000)
        self.start("read") { ticket, timeout in
            reactor.read(from: file, at: Int64(start), upTo: most, timeout: timeout) { [self] result in
                ticket.called(result)
                if case .success(let bytes) = result, !isUncertain {
                    let there = contents[start..<min(contents.count, start + most)]
                    let isRight = there.starts(with: bytes) && bytes.isEmpty == there.isEmpty
                    if !isRight { play.fail("\(ticket.name) of \(there.count) bytes brought \(bytes.count), or others") }
                }
                goOn(result, ticket)
            }
        }
    }

    private func goOn<Value>(_ result: Result<Value, IOError>, _ ticket: Ticket) {
        check(result, ticket)
        step()
    }

    private func check<Value>(_ result: Result<Value, IOError>, _ ticket: Ticket) {
        guard case .failure(let error) = result, !error.isCancelled, !error.isTimeout else { return }
        play.fail("\(ticket.name) failed: \(error)")
    }

    /// The reactor has ended.
    func letGo() {
        if let file { play.calls.close(file) }
        file = nil
    }
}
