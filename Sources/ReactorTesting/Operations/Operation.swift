import UringReactor

/// Memory the kernel may touch until an operation completes.
public struct MemoryRange: Sendable, Hashable {
    public let address: UInt
    public let count: Int
    /// Whether the kernel writes to it (a receive) or only reads it (a send).
    public let isWritten: Bool

    public init(address: UInt, count: Int, isWritten: Bool) {
        self.address = address
        self.count = count
        self.isWritten = isWritten
    }
}

/// An operation that has not completed: what the kernel still holds.
public struct InFlightOperation: Sendable, CustomStringConvertible {
    public let userData: UInt64
    public let opcode: SimulatedKernel.Opcode
    /// The descriptor it was submitted for, which may since have been closed or stand for something else; -1 for none.
    public let descriptor: Int32
    /// What must stay allocated, and as it is, until the last completion; of a zero-copy send, that is the notification.
    /// Provided buffers are not among them before something was received: ``SimulatedKernel/providedBuffers(ofGroup:)``.
    public let buffers: [MemoryRange]

    public var description: String {
        "\(opcode) fd \(descriptor) user_data \(hexadecimal(userData))"
    }
}

/// One submission from the moment it is consumed until its last completion is posted.
final class Operation {
    enum Stage {
        /// Being tried for the first time, or again.
        case running
        /// Armed: tries again when its file changes.
        case waiting
        /// Its file has changed; it is in the queue of deferred work or held back by a fault.
        case woken
        /// Has its result, which is not posted yet. Nothing can cancel it.
        case finished
        /// A zero-copy send whose result is posted, and whose memory the kernel has not let go of. Nothing can cancel it.
        case notifying
        /// The last completion was posted: not in flight any more.
        case posted
    }

    struct Timer {
        var generation: UInt32 = 0
        /// Nanoseconds between two completions of a multishot timeout.
        var interval: UInt64
        var isMultishot = false
        /// How many completions of a multishot are left; 0 is no end.
        var repeats: UInt64 = 0
        /// The number of completions that ends it early, or nil.
        var target: UInt64?
    }

    let id: UInt64
    let submission: Submission
    /// The open file it refers to and keeps open, whatever happens to the descriptor.
    let file: OpenFile?
    var holdsFile = true
    var stage = Stage.running
    var timer: Timer?
    /// Parts of the message, in order: one for send and recv.
    var segments: [MemoryRange] = []
    /// How many bytes of them are done.
    var transferred = 0
    /// Where a connect goes: copied at submission.
    var address: SocketAddress?
    /// The path of an open or a status: copied at submission.
    var path: String?
    /// How a connect ended, once it has; and the one that connects meanwhile.
    var connectResult: Int32?
    var connector: SocketConnector?
    /// `IORING_CQE_F_…` of the last completion.
    var completionFlags: UInt32 = 0
    /// The provided buffer that a receive has put something into, until the completion that says so.
    var buffer: ProvidedBuffer?
    /// Its memory as it must be, once it has outlived its first attempt.
    var heldMemory: HeldMemory?
    /// What a zero-copy send owes.
    var notification: Notification?
    /// Its last completion is held back in its file's order.
    var isHeld = false
    /// A cancellation has ended it, and its completion is still to be posted.
    var isCancelled = false
    /// A cancellation lost against it: it ends by itself.
    var lostCancel = false

    init(id: UInt64, submission: Submission, file: OpenFile?) {
        self.id = id
        self.submission = submission
        self.file = file
    }

    var userData: UInt64 { submission.userData }
    var opcode: SimulatedKernel.Opcode { submission.opcode }
    /// Whether it has no result yet.
    var isPending: Bool {
        switch stage {
        case .running, .waiting, .woken: true
        case .finished, .notifying, .posted: false
        }
    }

    var length: Int { segments.reduce(0) { $0 + $1.count } }

    /// Which ring of buffers it picks from: `IOSQE_BUFFER_SELECT`.
    var bufferGroup: UInt16? {
        submission.flags & EntryFlags.bufferSelect != 0 ? submission.bufferIndex : nil
    }

    /// Whether what it is going to write to is filled with a pattern meanwhile. A provided buffer is already, and with
    /// accept(2) the kernel first reads how long the address may be.
    var poisonsMemory: Bool {
        switch opcode {
        case .recv, .read, .statx: isPending && buffer == nil
        default: false
        }
    }

    var isMultishot: Bool {
        switch opcode {
        case .recv: submission.ioprio & TransferFlags.multishot != 0
        case .accept: submission.ioprio & 1 != 0
        case .pollAdd: submission.length & 1 != 0
        case .timeout: timer?.isMultishot ?? false
        default: false
        }
    }

    /// Which order of its file's completions it must keep to.
    var direction: Direction {
        switch opcode {
        case .recv, .read: .receive
        case .send, .sendmsg, .write, .sendZeroCopy, .sendmsgZeroCopy: .send
        default: .none
        }
    }

    enum Direction {
        case none, receive, send
    }

    /// Which changes of the file let it go on.
    var interest: Readiness {
        switch opcode {
        case .recv, .read, .accept: [.input, .error, .hangUp]
        case .send, .sendmsg, .write, .sendZeroCopy, .sendmsgZeroCopy, .connect: [.output, .error, .hangUp]
        case .pollAdd: Readiness(rawValue: submission.operationFlags).union(.always)
        default: []
        }
    }

    var inFlight: InFlightOperation {
        InFlightOperation(userData: userData, opcode: opcode, descriptor: submission.descriptor, buffers: segments)
    }
}

/// Poll events: poll(2).
struct Readiness: OptionSet {
    let rawValue: UInt32

    static let input = Readiness(rawValue: 0x1)
    static let output = Readiness(rawValue: 0x4)
    static let error = Readiness(rawValue: 0x8)
    static let hangUp = Readiness(rawValue: 0x10)
    static let normalInput = Readiness(rawValue: 0x40)
    static let normalOutput = Readiness(rawValue: 0x100)
    static let peerHangUp = Readiness(rawValue: 0x2000)

    static let readable: Readiness = [.input, .normalInput]
    static let writable: Readiness = [.output, .normalOutput]
    /// What every poll of io_uring reports, asked or not: `IO_POLL_UNMASK` in io_uring/poll.c.
    static let always: Readiness = [.error, .hangUp, .peerHangUp]
}
