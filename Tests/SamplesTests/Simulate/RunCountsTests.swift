import Testing
import UringReactor

@testable import samples

/// What workers tell the process that started them, and what that one prints.
@Suite struct RunCountsTests {
    @Test func aLineIsAdded() throws {
        let reactor = try Reactor()
        let one = RunCounts(reactor.statistics, faults: ["short send": 2, "late completion": 30])
        var all = RunCounts()
        let areAdded = [all.add(one.line), all.add("3 20 100;short send=5")]
        #expect(areAdded == [true, true])
        #expect(all.connections == 3 && all.operations == 20 && all.enters == 100)
        #expect(all.faults == ["short send": 7, "late completion": 30])
        #expect(all.description == """
            3 connections, 20 operations, 100 enters, 37 faults:
              late completion 30, short send 7
            """)
    }

    @Test(arguments: ["", "1 2", "a b c", "1 2 3;x", "1 2 3;x=y"]) func whatIsNoneIsNotAdded(line: String) {
        var counts = RunCounts()
        let isAdded = counts.add(line)
        #expect(!isAdded)
    }

    @Test func withoutFaultsThereIsNoList() {
        #expect(RunCounts().description == "0 connections, 0 operations, 0 enters, 0 faults")
    }
}
