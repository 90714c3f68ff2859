import Testing

@testable import benchmark

@Suite struct PlanTests {
    @Test func serversTakeTurnsAtBeingFirst() {
        #expect(Plan.rotated(["a", "b", "c"], by: 0) == ["a", "b", "c"])
        #expect(Plan.rotated(["a", "b", "c"], by: 1) == ["b", "c", "a"])
        #expect(Plan.rotated(["a", "b", "c"], by: 5) == ["c", "a", "b"])
        #expect(Plan.rotated([String](), by: 1) == [])
    }

    @Test func namesOfCasesAreUnique() {
        #expect(Set(Case.all.map(\.name)).count == Case.all.count)
    }

    @Test func patterns() {
        #expect(Selection.matches("echo-64x64B-d1", "64x64"))
        #expect(Selection.matches("echo-64x64B-d1", "echo-*-d1"))
        #expect(!Selection.matches("echo-64x64B-d16", "echo-*-d1"))
        #expect(!Selection.matches("fanout-10x128B-w8", "echo"))
    }

    @Test func everyTargetHasCases() {
        for target in Target.all {
            for pattern in target.cases {
                #expect(Case.all.contains { Selection.matches($0.name, pattern) }, "\(target.text): \(pattern)")
            }
        }
    }

    @Test func workOfAllCores() {
        #expect(OtherWork.busyTicks("cpu  10 20 30 400 50 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n") == 81)
        #expect(OtherWork.busyTicks("") == nil)
        #expect(OtherWork.busyTicks("cpu  1 2\n") == nil)
    }

    @Test func coresAsTheKernelListsThem() {
        #expect(Cores.parse("0-1") == [0, 1])
        #expect(Cores.parse("2,4-6") == [2, 4, 5, 6])
        #expect(Cores.parse("") == [])
        #expect(Cores(allowed: [3]).server == nil)
        #expect(Cores(allowed: [3]).notes.count == 1)
        #expect(Cores(allowed: [3, 5, 7]).load == 5)
    }
}
