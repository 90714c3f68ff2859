import Foundation

/// Which core is whose.
struct Cores {
    /// nil: wherever the kernel puts it.
    let server: Int?
    let load: Int?
    let notes: [String]

    /// The first two cores that this process may use.
    init() {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        self.init(allowed: Cores.parse(status.firstMatch(of: /Cpus_allowed_list:\s*([0-9,-]+)/).map { String($0.1) } ?? ""))
    }

    init(allowed: [Int]) {
        guard allowed.count >= 2 else {
            (server, load) = (nil, nil)
            notes = ["There is one core only: server and load share it, so throughput and latency are not the server's own."]
            return
        }
        (server, load, notes) = (allowed[0], allowed[1], [])
    }

    /// A list as the kernel writes it: 0-2,5.
    static func parse(_ list: String) -> [Int] {
        list.split(separator: ",").flatMap { part -> [Int] in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else { return [] }
            return Array(first...last)
        }
    }
}
