// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that whoever uses the library fetches none of its peers.
let package = Package(
    name: "Benchmarks",
    products: [
        .executable(name: "benchmark", targets: ["benchmark"]),
        .executable(name: "load", targets: ["load"]),
        .executable(name: "twin-epoll", targets: ["twin-epoll"]),
        .executable(name: "twin-uring", targets: ["twin-uring"]),
        .executable(name: "twin-nio", targets: ["twin-nio"]),
        .executable(name: "microbenchmarks", targets: ["microbenchmarks"]),
    ],
    dependencies: [
        .package(name: "UringReactor", path: ".."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        // Runs the matrix and writes the tables.
        .executableTarget(
            name: "benchmark",
            dependencies: [
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ]
        ),
        .testTarget(name: "BenchmarkTests", dependencies: ["benchmark"]),

        // The neutral load generator, and the twins in C.
        .executableTarget(name: "load"),
        .target(name: "twin-common"),
        .executableTarget(name: "twin-epoll", dependencies: ["twin-common"]),
        .executableTarget(
            name: "twin-uring", dependencies: ["twin-common"], linkerSettings: [.linkedLibrary("uring")]),

        .executableTarget(
            name: "twin-nio",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]
        ),

        // What is measured without a network.
        .target(name: "RawRing", path: "Sources/raw-ring", linkerSettings: [.linkedLibrary("uring")]),
        .executableTarget(
            name: "microbenchmarks",
            dependencies: [
                "RawRing",
                .product(name: "UringReactor", package: "UringReactor"),
                .product(name: "PubSub", package: "UringReactor"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
    ]
)
