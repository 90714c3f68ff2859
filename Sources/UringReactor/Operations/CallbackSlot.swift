import CLiburing
import SystemPackage

/// The closure of one operation, in its own type: a closure that is stored as what the user wrote needs no wrapper, and
/// none is allocated.
enum Callback {
    case none
    case status((Result<Void, IOError>) throws -> Void)
    case count((Result<Int, IOError>) throws -> Void)
    case descriptor((Result<FileDescriptor, IOError>) throws -> Void)
    case bytes((Result<Bytes, IOError>) throws -> Void)
    case events((Result<PollEvents, IOError>) throws -> Void)
    case job(() throws -> Void)
}

/// One operation that has a callback: all that is needed to start it, to start it again, and to say how it ended.
///
/// Lies at one address for as long as the reactor lives, so the kernel may be given pointers into it.
struct CallbackSlot: SlabElement {
    // What every operation needs comes first, and lies in one line of the cache: slots are 128 bytes, aligned to 64.
    var generation: UInt32 = 0
    var nextVacant: UInt32 = 0
    var descriptor: Int32 = -1
    /// Completions that are still to come: the operation's last and, if one was sent, the cancel's.
    var pending: UInt8 = 0
    var kind = OperationKind.nop
    var flags: Flags = []
    /// The handler of a ``ReusableOperation``, in the place of a callback. Held, with one reference of ours, until that is
    /// discarded.
    var driver: UncountedReference<OperationDriver>?
    var callback = Callback.none
    /// Whatever else the kernel may touch: an address, a path, a buffer, a vector of buffers.
    var attachment: AnyObject?
    /// What a send or a write sends; alive until the last completion.
    var bytes = Bytes()
    /// Two numbers of the operation: an offset and a length, or, in the kernel's layout, the timespec of a timeout.
    var arguments = __kernel_timespec(tv_sec: 0, tv_nsec: 0)
    /// Bytes done by earlier submissions of the same operation.
    var progress = 0
    private var unused: (UInt64, UInt64, UInt64) = (0, 0, 0)

    /// Whether a result that is no failure is all there is to its end.
    @inline(__always)
    var endsWithItsResult: Bool {
        pending == 1 && (flags.isEmpty || flags == .reusable) && kind.endsWithItsResult
    }

    /// The result of an operation whose cancel is still on its way; where a vacant slot has the next one.
    var heldResult: Int32 {
        get { Int32(bitPattern: nextVacant) }
        set { nextVacant = UInt32(bitPattern: newValue) }
    }

    /// The callback, which is no longer here.
    @inline(__always)
    mutating func takeCallback() -> Callback {
        var taken = Callback.none
        swap(&taken, &callback)
        return taken
    }

    struct Flags: OptionSet {
        let rawValue: UInt16
        /// Stays until a completion without `IORING_CQE_F_MORE`.
        static let multishot = Flags(rawValue: 1)
        /// A cancel was asked for: by the user, by the end of the reactor, or because the time ran out.
        static let cancelled = Flags(rawValue: 2)
        /// The cancel was asked for because the time ran out.
        static let timedOut = Flags(rawValue: 4)
        /// An entry of the timer queue names this slot.
        static let timed = Flags(rawValue: 8)
        /// The operation's own last completion has come; only that of a cancel is awaited.
        static let ended = Flags(rawValue: 16)
        /// The reactor keeps the time itself; nothing of this is in the kernel.
        static let timer = Flags(rawValue: 32)
        /// The kernel was asked to end all that is on its descriptor. Unlike ``cancelled``, no cancel of its own was sent.
        static let swept = Flags(rawValue: 64)
        /// The slot is that of a ``ReusableOperation``, and is kept when what it does has ended.
        static let reusable = Flags(rawValue: 128)
        /// …which was given up: nobody is told how it ends, and then the slot goes.
        static let discarded = Flags(rawValue: 256)
        /// …whose result has come before that of its cancel.
        static let held = Flags(rawValue: 512)

        /// Whether its end was asked for, in whatever way: then it is not started again.
        var isEnding: Bool { !isDisjoint(with: [.cancelled, .swept]) }
    }
}
