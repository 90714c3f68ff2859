import Testing

@testable import benchmark

@Suite struct MeasurementTests {
    private let line = """
        {"messages": 1000, "deliveries": 10000, "bytes": 1280000, "seconds": 2.0, "server_cpu_ns": 5000000,
        "load_cpu_ns": 1, "p50_ns": 1, "p90_ns": 2, "p99_ns": 3, "p999_ns": 4, "max_ns": 5, "server_syscalls": 2500,
        "server_allocations": null, "server_rss_kib": 2048, "server_private_kib": 1024, "server_private_kib_before": null,
        "bytes_per_connection": null}
        """

    @Test func whatTheLoadGeneratorPrints() throws {
        let measurement = try Measurement(json: line)
        #expect(measurement[.cpu] == 500)
        #expect(measurement[.throughput] == 5000)
        #expect(measurement[.p99] == 3)
        #expect(measurement[.syscalls] == 0.25)
        #expect(measurement[.rss] == 2048)
        #expect(measurement[.allocations] == nil)
        #expect(measurement[.idleMemory] == nil)
        #expect(measurement.p999Ns == 4)
    }

    @Test func nothingDeliveredIsNoFigure() throws {
        let measurement = try Measurement(json: #"{"deliveries": 0, "seconds": 1, "server_cpu_ns": 5}"#)
        #expect(measurement[.cpu] == nil)
        #expect(measurement[.throughput] == 0)
    }

    @Test func whatIsNoJSONIsAnError() {
        #expect(throws: (any Error).self) { try Measurement(json: "") }
        #expect(throws: (any Error).self) { try Measurement(json: "segmentation fault") }
    }
}
