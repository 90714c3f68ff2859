import CLiburing
import Glibc
import SystemPackage
import UringReactor

/// Ends a wait of a ``SimulatedKernel``. The only part of it that other threads may use.
///
/// Unlike an eventfd(2) it is not for signal handlers: it locks a mutex.
@safe final class SimulatedWaker: Waker, @unchecked Sendable {
    // @unchecked: `signals` and `ring` are touched under `mutex` only, the rest never changes.
    let descriptor: FileDescriptor
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var signals: UInt64 = 0
    private var ring: SimulatedRing?
    /// For `close()`, which comes from the kernel's own thread.
    private weak var kernel: SimulatedKernel?

    init(descriptor: FileDescriptor, ring: SimulatedRing, kernel: SimulatedKernel) {
        self.descriptor = descriptor
        self.ring = ring
        self.kernel = kernel
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(condition, nil)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    func wake() {
        unsafe pthread_mutex_lock(mutex)
        signals += 1
        // Linux sets the flag from the writing thread too: whoever spins on it must not spin for ever.
        ring?.setFlag(SimulatedRing.deferredWorkFlag, true)
        unsafe pthread_cond_signal(condition)
        unsafe pthread_mutex_unlock(mutex)
    }

    func close() {
        kernel?.closeWaker(self)
    }

    /// The ring's memory goes away.
    func detach() {
        unsafe pthread_mutex_lock(mutex)
        ring = nil
        unsafe pthread_mutex_unlock(mutex)
    }

    /// How often it was woken since the last call. Kernel's thread only.
    func take() -> UInt64 {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        defer { signals = 0 }
        return signals
    }

    /// Blocks the thread, in real time, until it was woken.
    func block() {
        unsafe pthread_mutex_lock(mutex)
        while signals == 0 { unsafe pthread_cond_wait(condition, mutex) }
        unsafe pthread_mutex_unlock(mutex)
    }
}
