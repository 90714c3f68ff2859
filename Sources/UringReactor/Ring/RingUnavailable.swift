public import SystemPackage

/// Why there is no io_uring here, and what to do about it.
public struct RingUnavailable: Error, Sendable, Equatable, CustomStringConvertible {
    /// What io_uring_setup(2), or a call that finished the ring, failed with.
    public let errno: Errno
    /// `/proc/sys/kernel/io_uring_disabled` (Linux 6.6): 0 for all, 1 for a group, 2 for nobody; nil without the file.
    public let disabledSetting: Int?
    /// The limit of locked memory in bytes (`RLIMIT_MEMLOCK`), or nil for none.
    public let lockedMemoryLimit: UInt64?
    /// The kernel's version as uname(2) says it, such as `6.18.44`.
    public let kernelVersion: String

    /// What a kernel throws; see ``Kernel/open(_:)``.
    public init(errno: Errno, disabledSetting: Int?, lockedMemoryLimit: UInt64?, kernelVersion: String) {
        self.errno = errno
        self.disabledSetting = disabledSetting
        self.lockedMemoryLimit = lockedMemoryLimit
        self.kernelVersion = kernelVersion
    }

    public var description: String {
        "io_uring cannot be used (\(ErrnoName.of(errno)), \(errno)): \(remedy)"
    }

    private var remedy: String {
        switch errno {
        case .noFunction:
            return """
                Linux \(kernelVersion) does not have the system call, or a seccomp profile hides it. Linux 6.1 or newer \
                is needed; in a container, allow io_uring_setup, io_uring_enter and io_uring_register in its seccomp \
                profile.
                """
        case .notPermitted, .permissionDenied:
            switch disabledSetting {
            case 2?:
                return """
                    kernel.io_uring_disabled is 2, which forbids it to all. To allow it, as root: \
                    sysctl kernel.io_uring_disabled=0.
                    """
            case 1?:
                return """
                    kernel.io_uring_disabled is 1, which allows it only with CAP_SYS_ADMIN or in the group of \
                    kernel.io_uring_group. Join that group, or, as root: sysctl kernel.io_uring_disabled=0.
                    """
            default:
                let setting = disabledSetting.map { "kernel.io_uring_disabled is \($0)" }
                    ?? "there is no kernel.io_uring_disabled"
                return """
                    \(setting), so a seccomp profile or a security module forbids it. In a container, allow \
                    io_uring_setup, io_uring_enter and io_uring_register (Docker: --security-opt seccomp=…).
                    """
            }
        case .noMemory:
            let limit = lockedMemoryLimit.map { "\($0 / 1024) KiB" } ?? "not limited"
            return """
                no memory for the ring. Locked memory is \(limit); ask for smaller queues (submissionEntries, \
                completionEntries) or raise the limit (ulimit -l, LimitMEMLOCK= in a systemd unit).
                """
        case .tooManyOpenFiles:
            return "this process has no descriptor left: raise ulimit -n, or close some."
        case .tooManyOpenFilesInSystem:
            return "the system has no descriptor left: raise fs.file-max."
        case .invalidArgument:
            return "Linux \(kernelVersion) refuses every form of ring that this library asks for; 6.1 or newer is needed."
        default:
            return "Linux \(kernelVersion). See io_uring_setup(2)."
        }
    }
}
