import CTestSupport
import Glibc
import SystemPackage
import Testing

@testable import UringReactor

@Suite(.timeLimit(.minutes(20))) struct RingUnavailableTests {
    private func description(_ errno: Errno, setting: Int? = nil, limit: UInt64? = nil) -> String {
        RingUnavailable(errno: errno, disabledSetting: setting, lockedMemoryLimit: limit, kernelVersion: "6.1.0").description
    }

    @Test func noFunction() {
        let text = description(.noFunction)
        #expect(text.hasPrefix("io_uring cannot be used (ENOSYS, Function not implemented): Linux 6.1.0 does not have"))
        #expect(text.contains("seccomp"))
    }

    @Test func notPermitted() {
        #expect(description(.notPermitted, setting: 2).contains("kernel.io_uring_disabled is 2, which forbids it to all"))
        #expect(description(.notPermitted, setting: 2).contains("sysctl kernel.io_uring_disabled=0"))
        #expect(description(.notPermitted, setting: 1).contains("kernel.io_uring_group"))
        #expect(description(.notPermitted, setting: 0).contains("kernel.io_uring_disabled is 0, so a seccomp profile"))
        #expect(description(.notPermitted).contains("there is no kernel.io_uring_disabled, so a seccomp profile"))
        #expect(description(.permissionDenied).contains("EACCES"))
    }

    @Test func noMemory() {
        #expect(description(.noMemory, limit: 65536).contains("Locked memory is 64 KiB"))
        #expect(description(.noMemory).contains("Locked memory is not limited"))
        #expect(description(.noMemory).contains("ulimit -l"))
    }

    @Test func descriptors() {
        #expect(description(.tooManyOpenFiles).contains("ulimit -n"))
        #expect(description(.tooManyOpenFilesInSystem).contains("fs.file-max"))
        #expect(description(.invalidArgument).contains("6.1 or newer is needed"))
        #expect(description(.ioError).contains("io_uring_setup(2)"))
    }

    /// The real thing, by a seccomp filter such as containers have: nothing outside of this process is changed.
    @Test(arguments: [ENOSYS, EPERM, ENOMEM]) func theCallFails(errno: Int32) async {
        await #expect(processExitsWith: .success) { [errno] in
            precondition(deny_system_call(system_call_io_uring_setup(), errno) == 0, "no filter")
            let before = open_descriptors()
            for _ in 0..<100 {
                do throws(RingUnavailable) {
                    _ = try Reactor()
                    fatalError("a reactor without io_uring")
                } catch {
                    precondition(error.errno.rawValue == errno, "\(error)")
                    precondition(!error.kernelVersion.isEmpty, "\(error)")
                    precondition(!error.description.contains("See io_uring_setup"), "\(error)")
                }
            }
            // The test runner has a few of its own that come and go.
            precondition(open_descriptors() < before + 50, "descriptors leak")
        }
    }

    /// Not under a sanitizer, which needs descriptors of its own at the end.
    @Test(.enabled(if: allocation_counter_works())) func noDescriptorIsLeft() async {
        await #expect(processExitsWith: .success) {
            var limit = rlimit()
            unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            limit.rlim_cur = 64
            unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            while dup(2) >= 0 {}
            do throws(RingUnavailable) {
                _ = try Reactor()
                fatalError("a reactor without a descriptor")
            } catch {
                precondition(error.errno == .tooManyOpenFiles, "\(error)")
                precondition(error.description.contains("ulimit -n"), "\(error)")
            }
        }
    }

    @Test func aReactorWithoutAWakerIsNone() throws {
        let kernel = FaultyKernel()
        kernel.wakerFailure = .tooManyOpenFiles
        let error = #expect(throws: RingUnavailable.self) { try Reactor(kernel: kernel) }
        #expect(error?.errno == .tooManyOpenFiles)
    }
}
