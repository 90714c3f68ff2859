public import UringReactor

extension SimulatedKernel {
    /// What a simulated machine is like.
    public struct Configuration: Sendable {
        /// Where the ring's indices start. They are 32 bits and wrap: near 2³², a test sees them do so.
        public var ringIndexStart: UInt32 = 0
        /// Nanoseconds of the clock at the start.
        public var startTime: UInt64 = 1_000_000_000
        /// How long an enter takes that has not to wait, so that a loop that spins by the clock ends. One that waits takes
        /// exactly as long as the wait.
        public var turnTime: UInt64 = 1_000
        /// Bytes of a socket's buffers unless `SO_SNDBUF` and `SO_RCVBUF` say otherwise. A connection holds, each way, the
        /// sender's plus the receiver's.
        public var sendBuffer = 32_768
        public var receiveBuffer = 32_768
        /// The lowest descriptor. High, so that a call that goes past the ``SimulatedKernel`` by mistake finds a bad
        /// descriptor of the real kernel instead of closing something.
        public var firstDescriptor: Int32 = 10_000
        /// How many descriptors there can be: `RLIMIT_NOFILE`.
        public var descriptorLimit = 1_024
        /// What the kernel claims to support.
        public var capabilities = Capabilities(multishotTimeout: true, multishotReceive: true, zeroCopySend: true)
        /// Whether zero-copy sends copy after all, as over the loopback device. Only their notifications tell, and only
        /// those who ask (`IORING_SEND_ZC_REPORT_USAGE`).
        public var zeroCopySendCopies = true
        /// What goes wrong at random.
        public var faults = FaultPlan.none
        /// Whether it is checked that nobody touches the memory of operations in flight and of provided buffers:
        /// ``SimulatedKernel/overwriteFreedMemory()`` finds out about freed memory too.
        public var checksMemory = true
        /// Whether a submission that Linux would refuse because it is wrong in itself is a violation: one on a descriptor
        /// that is not open (`EBADF`; a call beside the ring, too), with a null address (`EFAULT`), with flags or fields
        /// that mean nothing (`EINVAL`). Off, it only completes with its errno: for tests that submit such things on
        /// purpose.
        public var rejectsLoudly = true
        /// Whether an enter with nothing to wait for but another thread's ``UringReactor/Waker/wake()`` blocks the thread
        /// until that comes. Otherwise it is a stall, and a failure: most tests have one thread.
        public var blocksWhenIdle = false
        /// How many trace events are kept, the last ones.
        public var traceLimit = 4_096

        public init() {}
    }
}
