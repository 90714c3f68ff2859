import ArgumentParser
import Foundation

/// Where the programs are that are run.
struct Programs {
    /// The folder of this package.
    let package: URL
    /// Where SwiftPM has put this program, and with it the load generator and the twins in C and Swift.
    let products: URL
    let samples: String

    init(samples: String?) throws {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        products = own.deletingLastPathComponent()
        var folder = products
        while !FileManager.default.fileExists(atPath: folder.appendingPathComponent("Package.swift").path) {
            guard folder.path != "/" else { throw ValidationError("\(own.path) lies in no package") }
            folder.deleteLastPathComponent()
        }
        package = folder
        self.samples =
            samples ?? folder.deletingLastPathComponent().appendingPathComponent(".build/release/samples").path
        for program in [self.samples, load] {
            guard let reason = Programs.whyMissing(program) else { continue }
            throw ValidationError("\(reason); `make benchmark-build` does it")
        }
    }

    var load: String { built("load") }

    /// What is preloaded into a server to count its allocations.
    var allocationCounter: String { package.appendingPathComponent(".build/twins/libcountallocations.so").path }

    func built(_ product: String) -> String { products.appendingPathComponent(product).path }

    /// A twin that SwiftPM does not build.
    func twin(_ name: String) -> String { package.appendingPathComponent(".build/twins/\(name)").path }

    static func whyMissing(_ program: String) -> String? {
        // Only the name: tables are shown to others, for whom this machine's folders mean nothing.
        FileManager.default.isExecutableFile(atPath: program)
            ? nil : "\(URL(fileURLWithPath: program).lastPathComponent) has not been built"
    }

    func isInstalled(_ program: String) -> Bool { Programs.searchPath.contains { Programs.whyMissing($0 + program) == nil } }

    /// With the folders of system programs, where nginx is, even if they are not in PATH.
    private static let searchPath =
        ((ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"])
        .map { $0 + "/" }

    /// A program by its path.
    static func find(_ program: String) -> String {
        if program.contains("/") { return program }
        return searchPath.map { $0 + program }.first { whyMissing($0) == nil } ?? program
    }

    /// The first line that a program prints when asked for its version.
    static func firstLine(of program: String, _ arguments: [String]) -> String? {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: Programs.find(program))
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = pipe
        guard (try? process.run()) != nil else { return nil }
        let output = (try? pipe.fileHandleForReading.readToEnd()) ?? Data()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self).split(separator: "\n").first.map(String.init)
    }

    /// What cargo chose for the Tokio twin.
    var tokioVersion: String? {
        let file = package.appendingPathComponent("Twins/tokio/Cargo.lock")
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { return nil }
        return text.firstMatch(of: /name = "tokio"\nversion = "([^"]+)"/).map { String($0.1) }
    }

    /// What the resolution of this package chose.
    func resolvedVersion(ofPackage identity: String) -> String? {
        struct Resolved: Decodable {
            struct Pin: Decodable {
                struct State: Decodable { let version: String? }
                let identity: String
                let state: State
            }
            let pins: [Pin]
        }
        guard let data = try? Data(contentsOf: package.appendingPathComponent("Package.resolved")),
            let resolved = try? JSONDecoder().decode(Resolved.self, from: data)
        else { return nil }
        return resolved.pins.first { $0.identity == identity }?.state.version
    }
}
