import Foundation
import Glibc

/// What has to be known to judge the tables.
struct Header: Codable {
    let kernel: String
    let processor: String
    let date: String
    let commandLine: String
    let peers: [PeerLine]
    let rounds: Int
    let window: Window
    /// What was left out or not counted, and why.
    let notes: [String]

    struct PeerLine: Codable {
        let name: String
        let description: String
        let version: String?
    }

    init(peers: [Peer], rounds: Int, window: Window, notes: [String]) {
        kernel = Header.readKernel()
        processor = Header.readProcessor()
        date = ISO8601DateFormatter().string(from: Date())
        // Without the folder, which means nothing to others.
        let program = CommandLine.arguments.first.map { URL(fileURLWithPath: $0).lastPathComponent } ?? "benchmark"
        commandLine = ([program] + CommandLine.arguments.dropFirst()).joined(separator: " ")
        self.peers = peers.map { PeerLine(name: $0.name, description: $0.description, version: $0.version()) }
        self.rounds = rounds
        self.window = window
        self.notes = notes
    }

    private static func readKernel() -> String {
        var names = utsname()
        guard uname(&names) == 0 else { return "unknown" }
        return withUnsafeBytes(of: &names.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func readProcessor() -> String {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let lines = text.split(separator: "\n")
        let count = lines.filter { $0.hasPrefix("processor") }.count
        let model = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last
        return "\(model.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown model"), \(count) cores"
    }
}
