// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.strictMemorySafety(), .enableExperimentalFeature("Lifetimes")]

let package = Package(
    name: "UringReactor",
    products: [
        .library(name: "UringReactor", targets: ["UringReactor"]),
        .library(name: "ReactorTesting", targets: ["ReactorTesting"]),
        .library(name: "PubSub", targets: ["PubSub"]),
        .executable(name: "samples", targets: ["samples"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        // What follows is for Samples only: a user of the libraries builds none of it.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .systemLibrary(name: "CLiburing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
        .target(name: "CReactorSupport"),
        .target(
            name: "UringReactor",
            dependencies: [
                "CLiburing",
                "CReactorSupport",
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "ReactorTesting",
            dependencies: ["UringReactor", "CLiburing", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: strict
        ),
        .target(name: "PubSub", dependencies: ["UringReactor"], swiftSettings: strict),
        .executableTarget(
            name: "samples",
            dependencies: [
                "UringReactor",
                "ReactorTesting",
                "PubSub",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            path: "Samples",
            swiftSettings: strict
        ),
        .target(name: "CTestSupport", path: "Tests/CTestSupport"),
        .testTarget(
            name: "UringReactorTests", dependencies: ["UringReactor", "ReactorTesting", "CLiburing", "CTestSupport"],
            swiftSettings: strict),
        .testTarget(name: "PubSubTests", dependencies: ["PubSub", "UringReactor"], swiftSettings: strict),
        .testTarget(
            name: "ReactorTestingTests", dependencies: ["ReactorTesting", "UringReactor", "CLiburing", "CTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "SamplesTests", dependencies: ["samples", "ReactorTesting", "PubSub", "UringReactor", "CTestSupport"],
            swiftSettings: strict),
    ]
)
