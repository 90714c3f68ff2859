import Glibc

/// Nanoseconds of CLOCK_MONOTONIC, the clock of a reactor over Linux: `Reactor.now` is what it showed when the turn began.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
