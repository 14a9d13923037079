// swift-tools-version: 6.2
import PackageDescription

// The program's libraries in a package of one's own. One that is elsewhere names it by path or branch:
// SwiftPM takes no optimization flags from packages named by version.
let package = Package(
  name: "example",
  dependencies: [.package(name: "spo", path: "../..")],
  targets: [
    .executableTarget(
      name: "Example",
      dependencies: [
        .product(name: "Parquet", package: "spo"),
        .product(name: "Checkpoints", package: "spo"),
        .product(name: "Diffusion", package: "spo"),
      ])
  ])
