import SystemPackage
import UringReactor

/// One operation that was started, and how often its callback may be called.
final class Ticket {
    let name: String
    /// Bare descriptors are told apart by the numbers of their ends, or -1.
    let place: Int
    let isMultishot: Bool
    /// It may run into a timeout, its own or the network's.
    let isTimed: Bool
    var token: OperationToken?
    /// Somebody has asked for its end.
    var isCancelled = false
    private(set) var calls = 0
    private(set) var isOver = false
    private unowned let play: OperationsWorkload

    init(_ play: OperationsWorkload, _ name: String, place: Int, isTimed: Bool, isMultishot: Bool) {
        (self.play, self.name, self.place) = (play, name, place)
        (self.isTimed, self.isMultishot) = (isTimed, isMultishot)
    }

    /// Its callback is called.
    func called(_ errno: Errno?) {
        calls += 1
        if isOver { play.fail("\(name) was called back after its end") }
        if !isMultishot || errno != nil { isOver = true }
        if token == nil { play.fail("\(name) was called back before it was started") }
        guard let errno else { return }
        if errno == .canceled, !isCancelled, !play.reactor.isStopping { play.fail("\(name) was cancelled by nobody") }
        if errno == .timedOut, !isTimed, play.isCalm { play.fail("\(name) timed out without a timeout") }
    }

    func called<Value>(_ result: Result<Value, IOError>) {
        switch result {
        case .success: called(nil)
        case .failure(let error): called(error.errno)
        }
    }
}

/// A timer or a post: a job that is done so and so often, and never again once its cancel was confirmed.
final class Job {
    let name: String
    let most: Int
    private(set) var beats = 0
    private(set) var isCancelled = false
    var token: OperationToken?
    private unowned let play: OperationsWorkload

    init(_ play: OperationsWorkload, _ name: String, most: Int) {
        (self.play, self.name, self.most) = (play, name, most)
    }

    var isDone: Bool { isCancelled || beats == most }

    func beat() {
        if isCancelled { play.fail("\(name) was done after it had been cancelled") }
        beats += 1
        if beats > most { play.fail("\(name) was done \(beats) times, not \(most)") }
        // It ends itself, from within.
        if beats == most, most > 1 { cancel() }
    }

    func cancel() {
        guard !isCancelled, let token else { return }
        let isLive = beats < most || most > 1
        if play.reactor.cancel(token) != isLive, !play.reactor.isStopping {
            play.fail("\(name) could be cancelled: \(!isLive)")
        }
        if isLive { isCancelled = true }
    }
}
