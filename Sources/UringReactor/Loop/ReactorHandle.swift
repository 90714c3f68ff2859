/// What any thread may do with a reactor.
public struct ReactorHandle: Sendable {
    let mailbox: Mailbox

    /// Runs `job` on the reactor's thread, in the order of the posts of this thread. From any thread, the reactor's own
    /// among them, and also before ``Reactor/run(_:)``. Takes a lock for a moment: not from signal handlers. Wakes the
    /// reactor if it waits; posts that come while it is awake, or about to wake, cost no system call.
    ///
    /// - Returns: what can cancel the job, or nil if the reactor has ended and the job will not run.
    @discardableResult
    public func post(_ job: @escaping @Sendable () throws -> Void) -> PostedJob? {
        mailbox.post(Mailbox.Job(body: job)).map { PostedJob(mailbox: mailbox, number: $0) }
    }

    /// ``Reactor/stop()`` from any thread.
    public func stop() {
        post { Reactor.current?.stop() }
    }
}

/// A job that was posted to a reactor. From any thread.
public struct PostedJob: Sendable {
    let mailbox: Mailbox
    let number: UInt64

    /// Takes the job back.
    ///
    /// - Returns: true if it will never run; false if the reactor has taken it up already, or it was cancelled before.
    @discardableResult
    public func cancel() -> Bool { mailbox.cancel(number) }
}
