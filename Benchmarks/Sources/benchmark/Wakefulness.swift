/// Keeps cores from going to sleep: a process on each that runs only when nothing else wants to.
///
/// A core that sleeps takes its time to wake up, and in a virtual machine, where it does both by way of the hypervisor, ten
/// times what a message costs, now more and now less. Servers that wait for each message would be compared by that. The
/// class of such a process is the kernel's lowest (`SCHED_IDLE`, sched(7)): it gives way at once.
struct Wakefulness {
    private let spinners: [Child]

    init(_ cores: Cores, folder: ScratchFolder) throws {
        spinners = try [cores.server, cores.load].compactMap(\.self).map { core in
            try Child(
                "chrt", ["--idle", "0", "sh", "-c", "while :; do :; done"], core: core,
                folder: try folder.makeFolder("awake-\(core)"), name: "chrt")
        }
    }

    func end() {
        for spinner in spinners { spinner.terminate() }
    }
}
