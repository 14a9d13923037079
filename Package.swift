// swift-tools-version: 6.2
import PackageDescription

/// Kernels are loops over raw memory whose bounds their callers have checked.
let kernelSettings: [SwiftSetting] = [.unsafeFlags(["-Ounchecked"])]

let package = Package(
  name: "spo",
  products: [.executable(name: "spo", targets: ["spo"])],
  // Lowest layer first: a target depends only on targets above it in this list.
  targets: [
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CSHA256"),

    .target(name: "Files", dependencies: ["CSHA256"]),
    .target(name: "Parquet", dependencies: ["Files", "CZlib"]),
    .target(name: "Imaging", dependencies: ["Files", "CPNG"]),
    .target(name: "Checkpoints", dependencies: ["Files"]),
    .target(
      name: "Shards", dependencies: ["Checkpoints", "Files"], exclude: ["README.md"]),
    .target(name: "Telemetry", dependencies: ["Files"]),
    .target(name: "Reporting", dependencies: ["Files"]),
    .target(name: "Catalog", dependencies: ["Files", "CSQLite"]),
    .target(name: "PipelineCore", dependencies: ["Files"]),
    .target(name: "CommandSyntax", dependencies: ["PipelineCore", "Files"]),

    .target(name: "TensorCore", dependencies: ["COpenBLAS"], swiftSettings: kernelSettings),
    .target(name: "Autograd", dependencies: ["TensorCore"]),
    .target(name: "NN", dependencies: ["Autograd", "TensorCore", "Checkpoints", "Files"]),
    .target(
      name: "Diffusion",
      dependencies: ["NN", "Autograd", "TensorCore", "Checkpoints", "Files"]),
    .target(
      name: "PreferenceModels",
      dependencies: ["Diffusion", "NN", "Autograd", "TensorCore", "Files"]),
    .target(
      name: "StepwiseOptimization", dependencies: ["Diffusion", "NN", "Autograd", "TensorCore"]),
    .target(
      name: "Apply",
      dependencies: [
        "StepwiseOptimization", "PreferenceModels", "Diffusion", "NN", "Autograd", "Checkpoints",
        "Files",
      ]),
    .target(name: "ProceduralWorld", dependencies: ["TensorCore", "Files"]),
    .target(
      name: "Stages",
      dependencies: [
        "PipelineCore", "Catalog", "Parquet", "Imaging", "Checkpoints", "Shards", "Telemetry",
        "Reporting",
        "Files", "Diffusion", "PreferenceModels", "StepwiseOptimization", "ProceduralWorld", "NN",
        "Autograd", "TensorCore",
      ]),
    .executableTarget(
      name: "spo",
      dependencies: [
        "Apply", "Stages", "CommandSyntax", "PipelineCore", "Catalog", "Parquet", "Imaging",
        "Shards",
        "Checkpoints", "Files", "Diffusion", "PreferenceModels", "StepwiseOptimization", "NN",
        "Autograd", "TensorCore", "COpenBLAS",
      ]),

    .target(name: "TestSupport", path: "Tests/TestSupport"),
    .testTarget(name: "FilesTests", dependencies: ["Files", "TestSupport"]),
    .testTarget(name: "ParquetTests", dependencies: ["Parquet", "Files", "TestSupport"]),
    .testTarget(name: "ImagingTests", dependencies: ["Imaging", "Files", "TestSupport"]),
    .testTarget(name: "CheckpointsTests", dependencies: ["Checkpoints", "Files", "TestSupport"]),
    .testTarget(name: "TelemetryTests", dependencies: ["Telemetry", "Files", "TestSupport"]),
    .testTarget(name: "ReportingTests", dependencies: ["Reporting", "TestSupport"]),
    .testTarget(name: "CatalogTests", dependencies: ["Catalog", "Files", "TestSupport"]),
    .testTarget(name: "PipelineCoreTests", dependencies: ["PipelineCore", "Files", "TestSupport"]),
    .testTarget(name: "CommandSyntaxTests", dependencies: ["CommandSyntax"]),
    .testTarget(name: "TensorCoreTests", dependencies: ["TensorCore", "TestSupport"]),
    .testTarget(name: "AutogradTests", dependencies: ["Autograd", "TensorCore", "TestSupport"]),
    .testTarget(
      name: "NNTests", dependencies: ["NN", "Autograd", "TensorCore", "Checkpoints", "TestSupport"]),
    .testTarget(
      name: "DiffusionTests",
      dependencies: [
        "Diffusion", "NN", "Autograd", "TensorCore", "Checkpoints", "Files", "TestSupport",
      ]),
    .testTarget(
      name: "MethodTests",
      dependencies: [
        "Apply", "PreferenceModels", "StepwiseOptimization", "Diffusion", "NN", "Autograd",
        "TensorCore", "Checkpoints", "Files", "TestSupport",
      ]),
    .testTarget(
      name: "ProceduralWorldTests",
      dependencies: ["ProceduralWorld", "Diffusion", "TensorCore", "TestSupport"]),
    .testTarget(
      name: "StagesTests",
      dependencies: [
        "Stages", "Shards", "PipelineCore", "Catalog", "PreferenceModels", "Diffusion", "NN",
        "Autograd", "Parquet", "Imaging", "Checkpoints", "Files", "TestSupport",
      ]),
  ],
  swiftLanguageModes: [.v6]
)

for target in package.targets where target.type != .system {
  target.swiftSettings =
    (target.swiftSettings ?? []) + [
      .treatAllWarnings(as: .error),
      .enableUpcomingFeature("ExistentialAny"),
      .enableUpcomingFeature("MemberImportVisibility"),
      .enableUpcomingFeature("InternalImportsByDefault"),
    ]
}
