import Testing

/// What the server promises, over the real kernel and with many clients. One test at a time: they use up descriptors, and
/// measure memory.
@Suite(.serialized, .timeLimit(.minutes(20))) enum Acceptance {}
