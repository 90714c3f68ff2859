import CLiburing

extension SimulatedKernel {
    /// What a submission asks for: `IORING_OP_…` of `<linux/io_uring.h>`.
    public struct Opcode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        public let rawValue: UInt8

        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        public static let nop = Opcode(rawValue: 0)
        public static let fsync = Opcode(rawValue: 3)
        public static let pollAdd = Opcode(rawValue: 6)
        public static let pollRemove = Opcode(rawValue: 7)
        public static let sendmsg = Opcode(rawValue: 9)
        public static let timeout = Opcode(rawValue: 11)
        public static let timeoutRemove = Opcode(rawValue: 12)
        public static let accept = Opcode(rawValue: 13)
        public static let asyncCancel = Opcode(rawValue: 14)
        public static let connect = Opcode(rawValue: 16)
        public static let openat = Opcode(rawValue: 18)
        public static let close = Opcode(rawValue: 19)
        public static let statx = Opcode(rawValue: 21)
        public static let read = Opcode(rawValue: 22)
        public static let write = Opcode(rawValue: 23)
        public static let send = Opcode(rawValue: 26)
        public static let recv = Opcode(rawValue: 27)
        public static let shutdown = Opcode(rawValue: 34)
        public static let sendZeroCopy = Opcode(rawValue: 47)
        public static let sendmsgZeroCopy = Opcode(rawValue: 48)

        public var description: String {
            switch self {
            case .nop: "nop"
            case .fsync: "fsync"
            case .pollAdd: "poll_add"
            case .pollRemove: "poll_remove"
            case .sendmsg: "sendmsg"
            case .timeout: "timeout"
            case .timeoutRemove: "timeout_remove"
            case .accept: "accept"
            case .asyncCancel: "async_cancel"
            case .connect: "connect"
            case .openat: "openat"
            case .close: "close"
            case .statx: "statx"
            case .read: "read"
            case .write: "write"
            case .send: "send"
            case .recv: "recv"
            case .shutdown: "shutdown"
            case .sendZeroCopy: "send_zc"
            case .sendmsgZeroCopy: "sendmsg_zc"
            default: "opcode \(rawValue)"
            }
        }
    }
}

/// One submission, as it was when the kernel consumed it. Linux takes a copy too, so that the entry may be filled again
/// once the head has passed it.
struct Submission: Equatable {
    let opcode: SimulatedKernel.Opcode
    /// `IOSQE_…`
    let flags: UInt8
    /// Also the flags of accept, send and receive that came after their 32 bits were full.
    let ioprio: UInt16
    let descriptor: Int32
    /// Also `addr2`.
    let offset: UInt64
    let address: UInt64
    let length: UInt32
    /// `msg_flags`, `timeout_flags`, `accept_flags`, `cancel_flags`, `poll32_events`, `open_flags`, …
    let operationFlags: UInt32
    let userData: UInt64
    /// Also `buf_group`.
    let bufferIndex: UInt16
    let personality: UInt16
    /// Also `splice_fd_in`.
    let fileIndex: UInt32
    let address3: UInt64

    /// The entry at `entry`, by its layout: `<linux/io_uring.h>`, pinned at 64 bytes by the ABI.
    init(_ entry: UnsafePointer<io_uring_sqe>) {
        let raw = unsafe UnsafeRawPointer(entry)
        opcode = unsafe SimulatedKernel.Opcode(rawValue: raw.load(as: UInt8.self))
        flags = unsafe raw.load(fromByteOffset: 1, as: UInt8.self)
        ioprio = unsafe raw.load(fromByteOffset: 2, as: UInt16.self)
        descriptor = unsafe raw.load(fromByteOffset: 4, as: Int32.self)
        offset = unsafe raw.load(fromByteOffset: 8, as: UInt64.self)
        address = unsafe raw.load(fromByteOffset: 16, as: UInt64.self)
        length = unsafe raw.load(fromByteOffset: 24, as: UInt32.self)
        operationFlags = unsafe raw.load(fromByteOffset: 28, as: UInt32.self)
        userData = unsafe raw.load(fromByteOffset: 32, as: UInt64.self)
        bufferIndex = unsafe raw.load(fromByteOffset: 40, as: UInt16.self)
        personality = unsafe raw.load(fromByteOffset: 42, as: UInt16.self)
        fileIndex = unsafe raw.load(fromByteOffset: 44, as: UInt32.self)
        address3 = unsafe raw.load(fromByteOffset: 48, as: UInt64.self)
    }

    /// What is left behind in an entry that was consumed, and what a new ring is filled with, so that an entry which is
    /// submitted without having been filled (trap 18: its stale content would run again) is recognized.
    static let poison: UInt8 = 0xa5

    var isPoison: Bool { userData == 0xa5a5_a5a5_a5a5_a5a5 && opcode.rawValue == Submission.poison }

    var isZero: Bool {
        userData == 0 && opcode == .nop && flags == 0 && descriptor == 0 && address == 0 && length == 0 && offset == 0
    }
}

extension Submission: CustomStringConvertible {
    /// Without addresses, which differ from run to run.
    var description: String {
        "\(opcode) fd \(descriptor) length \(length) flags \(operationFlags) user_data \(hexadecimal(userData))"
    }
}

func hexadecimal(_ number: UInt64) -> String {
    "0x" + String(number, radix: 16)
}

/// `IOSQE_…`, in bits.
enum EntryFlags {
    static let async: UInt8 = 1 << 4
    static let bufferSelect: UInt8 = 1 << 5
    static let skipSuccess: UInt8 = 1 << 6
    static let known: UInt8 = async | bufferSelect | skipSuccess
}

/// `IORING_CQE_F_…`
enum CompletionFlags {
    /// The upper 16 bits are the number of a provided buffer, which is the library's again.
    static let buffer: UInt32 = 1 << 0
    /// More completions of this submission will follow.
    static let more: UInt32 = 1 << 1
    /// The socket has more to read: `IORING_CQE_F_SOCK_NONEMPTY`.
    static let moreToRead: UInt32 = 1 << 2
    /// The kernel has let go of the memory of a zero-copy send.
    static let notification: UInt32 = 1 << 3
}
