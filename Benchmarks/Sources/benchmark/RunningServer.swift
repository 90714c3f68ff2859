import Foundation
import Glibc

/// A server that accepts connections.
final class RunningServer {
    let port: Int
    let child: Child

    /// - Parameter preload: What is set in its environment besides what it asks for.
    init(_ launch: Launch, preload: [String: String], core: Int?, folder: URL) throws {
        let chosen = launch.printsPort ? 0 : try FreePort.find()
        let fill = { (text: String) in
            text.replacingOccurrences(of: "%FOLDER%", with: folder.path)
                .replacingOccurrences(of: "%PORT%", with: "\(chosen)")
        }
        for (name, text) in launch.files {
            try Data(fill(text).utf8).write(to: folder.appendingPathComponent(name))
        }
        child = try Child(
            launch.program, launch.arguments.map(fill), environment: launch.environment.merging(preload) { $1 },
            core: core, folder: folder, name: "server")
        do {
            port = try RunningServer.waitUntilReady(child, port: launch.printsPort ? nil : chosen)
        } catch {
            child.terminate()
            throw error
        }
    }

    private static func waitUntilReady(_ child: Child, port: Int?) throws -> Int {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            if let end = child.end { throw Problem("the server ended at once: \(end)", child) }
            if let port {
                if FreePort.accepts(port) { return port }
            } else if let match = child.outputText.firstMatch(of: /127\.0\.0\.1:([0-9]+)\b/), let port = Int(match.1) {
                return port
            }
            usleep(3000)
        }
        throw Problem("the server accepts no connection after 10 s", child)
    }
}

/// A port of this machine.
enum FreePort {
    /// One that nobody has. Someone may take it before it is used: then the measurement fails, and says so.
    static func find() throws -> Int {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = loopback(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        guard bound else { throw Problem("no free port: \(String(cString: strerror(errno)))") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    static func accepts(_ port: Int) -> Bool {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = loopback(port: port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }
}

/// Why a measurement has failed.
struct Problem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    /// With the last of what the process has said.
    init(_ description: String, _ child: Child) {
        let said = Problem.end(of: child.errorText)
        self.description = said.isEmpty ? description : "\(description); it says: \(said)"
    }

    static func end(of text: String) -> String {
        text.split(separator: "\n").suffix(8).joined(separator: " / ")
    }
}
