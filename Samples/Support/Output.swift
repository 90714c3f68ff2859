import SystemPackage

/// Writes a line to standard output at once: `print` would keep it when the output is a pipe, and the first line of a
/// server is what scripts wait for.
func printLine(_ line: String) {
    // Nobody to tell if standard output is closed.
    _ = try? FileDescriptor.standardOutput.writeAll((line + "\n").utf8)
}

/// Writes a line to standard error.
func printError(_ line: String) {
    _ = try? FileDescriptor.standardError.writeAll((line + "\n").utf8)
}
