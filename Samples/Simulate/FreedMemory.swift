import Glibc
import ReactorTesting

/// Memory that is freed shows that it was: whoever frees what the kernel still has is found out.
enum FreedMemory {
    private static let variable = "GLIBC_TUNABLES"
    private static let setting = "glibc.malloc.tcache_count=0"

    /// Sets up this process, and starts it again, once, because the C library reads one of its settings only then.
    static func overwrite() {
        if SimulatedKernel.overwriteFreedMemory() { return }
        let before = unsafe getenv(variable).map { unsafe String(cString: $0) }
        // Not a second time: where the C library is another one, it does not help.
        guard before?.contains(setting) != true else { return }
        unsafe setenv(variable, [before, setting].compactMap { $0 }.joined(separator: ":"), 1)
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe CommandLine.arguments.map { unsafe strdup($0) } + [nil]
        // Returns only if it fails; then small blocks are not looked at.
        unsafe execv("/proc/self/exe", &arguments)
        for unsafe argument in unsafe arguments { unsafe free(argument) }
    }
}
