import CReactorSupport
package import SystemPackage

/// The symbol of an errno, such as `ECONNRESET`, which is what one searches for.
package enum ErrnoName {
    /// A number for what strerrorname_np(3) does not know.
    package static func of(_ errno: Errno) -> String {
        guard let name = unsafe creactor_errno_name(errno.rawValue) else { return "errno \(errno.rawValue)" }
        return unsafe String(cString: name)
    }
}
