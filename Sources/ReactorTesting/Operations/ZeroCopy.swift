import Glibc
import UringReactor

/// What a zero-copy send owes once its result is posted: io_uring/notif.c.
struct Notification {
    /// Where the bytes went, and the place in the stream that follows them.
    private(set) var endpoint: Endpoint?
    private(set) var position: UInt64 = 0
    /// How much was sent. The memory must still hold it when the kernel lets go of it: until then a network card may read
    /// there, for the first time or again.
    private(set) var count = 0

    mutating func add(_ sent: Int, to endpoint: Endpoint) {
        self.endpoint = endpoint
        position = endpoint.sendPosition
        count += sent
    }

    var isDue: Bool { endpoint?.isAcknowledged(position) ?? true }
}

/// Zero-copy sends: io_uring/net.c and io_uring/notif.c. First comes the result, and then, whenever the peer has read what
/// was sent and however late, the notification that the memory is the library's again (trap 31).
extension SimulatedKernel {
    /// `IORING_NOTIF_USAGE_ZC_COPIED`
    private static let copied = Int32(bitPattern: 1 << 31)

    func prepareZeroCopySend(_ operation: Operation) -> Int32? {
        guard capabilities.zeroCopySend else { return EINVAL }
        let submission = operation.submission
        guard submission.address3 == 0, submission.flags & EntryFlags.skipSuccess == 0 else { return EINVAL }
        // From here on, a failure has a notification as well: io_sendrecv_fail.
        operation.notification = Notification()
        return submission.opcode == .sendZeroCopy ? prepareTransfer(operation) : prepareSendmsg(operation)
    }

    func sendZeroCopy(_ operation: Operation) -> Outcome {
        // SOCK_SUPPORT_ZC
        if let socket = operation.file as? Socket, socket.transport == .unix { return .done(-EOPNOTSUPP) }
        return send(operation)
    }

    /// Whether the completion with the result is to say that a notification follows.
    func notificationFlag(of operation: Operation, _ result: Int32) -> UInt32 {
        guard operation.notification != nil else { return 0 }
        if result < 0, draw(faults.failureWithoutNotification, "failure without a notification") {
            operation.notification = nil
            return 0
        }
        return CompletionFlags.more
    }

    /// The operation stays in flight, for the kernel still has its memory. Its file is needed no more.
    func awaitAcknowledgement(of operation: Operation) {
        operation.stage = .notifying
        letGoOfFile(operation)
        // What was not sent, nobody needs.
        hold(operation)
        operation.heldMemory?.shorten(to: operation.notification?.count ?? 0)
        unnotified.append(operation)
    }

    var hasAcknowledgements: Bool { !unnotified.isEmpty && unnotified.contains { $0.notification?.isDue ?? true } }

    /// Notifications of different sends come in any order; only their own results they never overtake.
    func noticeAcknowledgements() {
        guard hasAcknowledgements else { return }
        let due = unnotified.filter { $0.notification?.isDue ?? true }
        unnotified.removeAll { $0.notification?.isDue ?? true }
        for operation in due {
            if draw(faults.lateNotification, "late notification") {
                events.schedule(.notify(operation), at: time + random.next(in: faults.delay))
            } else {
                deferredWork.append(.notify(operation))
            }
        }
    }

    func notify(_ operation: Operation) {
        guard operation.stage == .notifying, let notification = operation.notification else { return }
        // Also if nothing was sent: `!nd->zc_used`.
        let hasCopied = configuration.zeroCopySendCopies || notification.count == 0
        let reports = operation.submission.ioprio & TransferFlags.reportUsage != 0
        complete(operation, result: reports && hasCopied ? Self.copied : 0, flags: CompletionFlags.notification)
        forget(operation)
    }
}
