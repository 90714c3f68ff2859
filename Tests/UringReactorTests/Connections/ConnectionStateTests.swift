import Testing

@testable import UringReactor

/// The lifecycle, pair by pair: what is not in the table cannot happen, and traps.
@Suite struct ConnectionStateTests {
    private static let legal: [ConnectionState: [LifecycleEvent: ConnectionState]] = [
        .vacant: [.connectStarted: .connecting, .opened: .open],
        .connecting: [.opened: .open, .closeRequested: .closing, .aborted: .closing],
        .open: [
            .peerEnded: .peerEnded, .sendingEnded: .sendingEnded, .closeRequested: .flushing, .aborted: .closing,
        ],
        .peerEnded: [.sendingEnded: .closing, .closeRequested: .flushing, .aborted: .closing],
        .sendingEnded: [.peerEnded: .closing, .closeRequested: .lingering, .aborted: .closing],
        .flushing: [
            .peerEnded: .flushing, .flushed: .lingering, .sendingEnded: .closing, .closeRequested: .flushing,
            .aborted: .closing,
        ],
        .lingering: [.peerEnded: .closing, .closeRequested: .lingering, .aborted: .closing],
        .closing: [.closeRequested: .closing, .aborted: .closing, .joined: .closed],
        .closed: [.closeRequested: .closed, .aborted: .closed, .descriptorClosed: .vacant],
    ]

    @Test(arguments: ConnectionState.allCases, LifecycleEvent.allCases)
    func movesAsTheTableSays(state: ConnectionState, event: LifecycleEvent) {
        #expect(state.next(after: event) == ConnectionStateTests.legal[state]?[event])
    }

    @Test func everyStateHasItsQuestions() {
        #expect(ConnectionState.allCases.filter(\.maySend) == [.open, .peerEnded])
        #expect(ConnectionState.allCases.filter(\.sends) == [.open, .peerEnded, .flushing])
        #expect(ConnectionState.allCases.filter(\.delivers) == [.open, .sendingEnded])
        #expect(ConnectionState.allCases.filter(\.discards) == [.flushing, .lingering])
        #expect(ConnectionState.allCases.filter(\.isLive) == [.open, .peerEnded, .sendingEnded])
    }

    @Test func whatCannotHappenTrapsAndNamesThePair() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var state = ConnectionState.closing
            state.move(.opened)
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains("a connection that is closing cannot handle the event opened"))
    }
}
