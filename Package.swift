// swift-tools-version: 6.2
import PackageDescription

/// Kernels are loops over raw memory whose bounds their callers have checked.
let kernelSettings: [SwiftSetting] = [.unsafeFlags(["-Ounchecked"])]

let package = Package(
  name: "spo",
  products: [
    .executable(name: "spo", targets: ["spo"]),
    .library(name: "Parquet", targets: ["Parquet"]),
    .library(name: "Checkpoints", targets: ["Checkpoints"]),
    .library(
      name: "Diffusion",
      targets: ["Diffusion", "Autograd", "TensorCore", "HostResources", "RandomStreams"]),
  ],
  // Lowest layer first: a target depends only on targets above it in this list.
  targets: [
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CSHA256"),
    .systemLibrary(name: "CProcessor"),
    .systemLibrary(name: "CFileSystem"),

    .target(name: "Files", dependencies: ["CFileSystem", "CSHA256"]),
    .target(name: "DynamicLibraries"),
    .target(name: "Ranks", dependencies: ["DynamicLibraries"]),
    .target(name: "Parquet", dependencies: ["Files", "DynamicLibraries", "CZlib"]),
    .target(name: "Imaging", dependencies: ["Files", "DynamicLibraries", "CPNG"]),
    .target(name: "Checkpoints", dependencies: ["CZlib", "Files"]),
    .target(
      name: "Shards", dependencies: ["Checkpoints", "Files"], exclude: ["README.md"]),
    .target(name: "Telemetry", dependencies: ["Files"]),
    .target(name: "Reporting", dependencies: ["Files"]),
    .target(name: "Catalog", dependencies: ["Files", "CSQLite"]),
    .target(name: "PipelineCore", dependencies: ["Files", "Ranks"]),
    .target(name: "CommandSyntax", dependencies: ["PipelineCore", "Files"]),

    .target(name: "RandomStreams"),
    .target(name: "HostResources", dependencies: ["COpenBLAS", "Files"]),
    .target(
      name: "TensorCore", dependencies: ["HostResources", "COpenBLAS"],
      swiftSettings: kernelSettings),
    .target(name: "Backends", dependencies: ["TensorCore", "HostResources"]),
    .target(
      name: "Devices",
      dependencies: ["Backends", "TensorCore", "HostResources", "DynamicLibraries", "Files"]),
    .target(name: "Autograd", dependencies: ["Backends", "TensorCore", "HostResources"]),
    .target(
      name: "NN",
      dependencies: [
        "Autograd", "Backends", "TensorCore", "HostResources", "RandomStreams", "Checkpoints",
        "Files",
      ]),
    .target(
      name: "Diffusion",
      dependencies: [
        "NN", "Autograd", "Backends", "TensorCore", "HostResources", "RandomStreams", "Checkpoints",
        "Files",
      ]),
    .target(
      name: "PreferenceModels",
      dependencies: [
        "Diffusion", "NN", "Autograd", "TensorCore", "HostResources", "Checkpoints", "Files",
      ]),
    .target(
      name: "Scorers",
      dependencies: [
        "PreferenceModels", "Diffusion", "NN", "Autograd", "Imaging", "Checkpoints", "Files",
      ]),
    .target(
      name: "StepwiseOptimization",
      dependencies: ["Diffusion", "NN", "Autograd", "TensorCore", "RandomStreams"]),
    .target(
      name: "Apply",
      dependencies: [
        "StepwiseOptimization", "PreferenceModels", "Diffusion", "NN", "Autograd", "Checkpoints",
        "Files",
      ]),
    .target(name: "ProceduralWorld", dependencies: ["TensorCore", "RandomStreams", "Files"]),
    .target(
      name: "Evaluation",
      dependencies: [
        "Scorers", "Reporting", "Diffusion", "NN", "Autograd", "TensorCore", "HostResources",
        "RandomStreams", "Imaging", "PipelineCore", "Parquet", "Files",
      ]),
    .target(
      name: "StageSupport",
      dependencies: [
        "PipelineCore", "Imaging", "Shards", "Checkpoints", "Files", "PreferenceModels",
        "ProceduralWorld", "Scorers", "Diffusion", "NN", "Autograd", "Backends", "TensorCore",
        "HostResources",
      ]),
    .target(
      name: "DataStages",
      dependencies: [
        "StageSupport", "PipelineCore", "Catalog", "Parquet", "Imaging", "Shards", "Reporting",
        "Files", "PreferenceModels", "Diffusion", "NN", "Autograd", "Backends", "HostResources",
      ]),
    // Reads shards, and neither catalogs nor sources.
    .target(
      name: "TrainingStages",
      dependencies: [
        "StageSupport", "PipelineCore", "Shards", "Telemetry", "Reporting", "Imaging",
        "Checkpoints", "Files", "ProceduralWorld", "Scorers", "StepwiseOptimization",
        "PreferenceModels", "Diffusion", "NN", "Autograd", "Backends", "TensorCore",
        "RandomStreams", "Ranks",
      ]),
    .target(
      name: "ReportStages",
      dependencies: [
        "TrainingStages", "DataStages", "StageSupport", "Evaluation", "Scorers", "PipelineCore",
        "Shards", "Telemetry", "Reporting", "ProceduralWorld", "Imaging", "Files",
        "StepwiseOptimization", "PreferenceModels", "Diffusion", "NN", "Autograd", "Backends",
        "HostResources", "RandomStreams",
      ]),
    // They make the embedded model and its comparisons.
    .target(
      name: "WorldStages",
      dependencies: [
        "ReportStages", "TrainingStages", "StageSupport", "PipelineCore", "Parquet",
        "ProceduralWorld", "Imaging", "Checkpoints", "Files", "Diffusion", "NN", "Autograd",
        "TensorCore", "HostResources", "RandomStreams",
      ]),
    .target(
      name: "Stages",
      dependencies: [
        "WorldStages", "ReportStages", "TrainingStages", "DataStages", "StageSupport",
        "PipelineCore", "Catalog", "Parquet", "Imaging", "Shards", "Checkpoints", "Files",
        "Diffusion", "ProceduralWorld", "Devices", "Backends", "HostResources",
      ]),
    .executableTarget(
      name: "spo",
      dependencies: [
        "Apply", "Stages", "ReportStages", "TrainingStages", "DataStages", "StageSupport",
        "Evaluation", "Reporting", "Scorers", "CommandSyntax", "PipelineCore", "Catalog", "Parquet",
        "Imaging", "Shards", "Telemetry", "Checkpoints", "Files", "Diffusion", "PreferenceModels",
        "StepwiseOptimization", "NN", "Autograd", "Devices", "Backends", "TensorCore",
        "HostResources", "RandomStreams", "COpenBLAS", "CProcessor", "Ranks",
      ]),

    .target(name: "TestSupport", dependencies: ["Files", "Ranks"], path: "Tests/TestSupport"),
    .testTarget(name: "FilesTests", dependencies: ["Files", "TestSupport"]),
    .testTarget(name: "RanksTests", dependencies: ["Ranks", "TestSupport"]),
    .testTarget(name: "ParquetTests", dependencies: ["Parquet", "Files", "TestSupport"]),
    .testTarget(name: "ImagingTests", dependencies: ["Imaging", "Files", "TestSupport"]),
    .testTarget(name: "CheckpointsTests", dependencies: ["Checkpoints", "Files", "TestSupport"]),
    .testTarget(name: "TelemetryTests", dependencies: ["Telemetry", "Files", "TestSupport"]),
    .testTarget(name: "ReportingTests", dependencies: ["Reporting", "Files", "TestSupport"]),
    .testTarget(name: "CatalogTests", dependencies: ["Catalog", "Files", "TestSupport"]),
    .testTarget(
      name: "PipelineCoreTests", dependencies: ["PipelineCore", "Files", "Ranks", "TestSupport"]),
    .testTarget(name: "CommandSyntaxTests", dependencies: ["CommandSyntax"]),
    .testTarget(name: "RandomStreamsTests", dependencies: ["RandomStreams", "TestSupport"]),
    .testTarget(name: "HostResourcesTests", dependencies: ["HostResources"]),
    .testTarget(
      name: "TensorCoreTests", dependencies: ["TensorCore", "HostResources", "TestSupport"]),
    .testTarget(
      name: "BackendsTests",
      dependencies: ["Backends", "TensorCore", "HostResources"]),
    .testTarget(
      name: "DevicesTests",
      dependencies: [
        "Devices", "Autograd", "Backends", "TensorCore", "HostResources", "RandomStreams", "Files",
        "TestSupport",
      ]),
    .testTarget(
      name: "AutogradTests",
      dependencies: ["Autograd", "TensorCore", "RandomStreams"]),
    .testTarget(
      name: "NNTests",
      dependencies: ["NN", "Autograd", "RandomStreams", "Checkpoints", "TestSupport"]),
    .testTarget(
      name: "DiffusionTests",
      dependencies: [
        "Diffusion", "NN", "Autograd", "RandomStreams", "Checkpoints", "Files", "TestSupport",
      ]),
    .testTarget(
      name: "MethodTests",
      dependencies: [
        "Apply", "PreferenceModels", "StepwiseOptimization", "Diffusion", "NN", "Autograd",
        "Backends", "TensorCore", "RandomStreams", "Checkpoints", "Files", "TestSupport",
      ]),
    .testTarget(
      name: "ScorersTests",
      dependencies: [
        "Scorers", "Diffusion", "Imaging", "Checkpoints", "Files", "TestSupport",
      ]),
    .testTarget(
      name: "EvaluationTests",
      dependencies: [
        "Evaluation", "Scorers", "Reporting", "Diffusion", "Autograd", "RandomStreams", "Imaging",
        "PipelineCore", "Parquet", "Checkpoints", "Files", "TestSupport",
      ]),
    .testTarget(
      name: "ProceduralWorldTests",
      dependencies: ["ProceduralWorld", "Diffusion", "Imaging", "RandomStreams", "TestSupport"]),
    .testTarget(
      name: "StagesTests",
      dependencies: [
        "Stages", "ReportStages", "TrainingStages", "DataStages", "StageSupport", "Shards",
        "PipelineCore", "Catalog", "StepwiseOptimization", "PreferenceModels",
        "Diffusion", "NN", "Autograd", "Backends", "TensorCore", "HostResources", "RandomStreams",
        "Parquet", "Imaging", "Checkpoints", "Files", "Ranks", "Reporting", "Scorers",
        "ProceduralWorld", "TestSupport",
      ]),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "spo", "HostResources", "Catalog", "Checkpoints", "CProcessor", "Files", "TestSupport",
      ]),
  ],
  swiftLanguageModes: [.v6]
)

// SPO_TARGETS="FilesTests ParquetTests" in the environment keeps these targets and what they need, so that a
// build with a sanitizer does not build the rest; SPO_TARGETS=Fuzz adds the fuzzer, which needs one.
if let names = Context.environment["SPO_TARGETS"], !names.isEmpty {
  package.targets += [
    .systemLibrary(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
    .executableTarget(
      name: "Fuzz",
      dependencies: [
        "CFuzzer", "CZlib", "Catalog", "Checkpoints", "Diffusion", "Files", "Imaging", "NN",
        "Parquet", "PipelineCore", "PreferenceModels", "Shards", "DataStages", "Stages",
      ],
      path: "Tests/Fuzz/Sources"),
  ]
  var wanted = Set(names.split(separator: " ").map(String.init))
  // Users stand after what they use.
  for target in package.targets.reversed() where wanted.contains(target.name) {
    for case .byNameItem(let name, _) in target.dependencies { wanted.insert(name) }
  }
  package.targets.removeAll { !wanted.contains($0.name) }
  package.products.removeAll { !wanted.contains($0.name) }
}

for target in package.targets where target.type != .system {
  target.swiftSettings =
    (target.swiftSettings ?? []) + [
      .treatAllWarnings(as: .error),
      .enableUpcomingFeature("ExistentialAny"),
      .enableUpcomingFeature("MemberImportVisibility"),
      .enableUpcomingFeature("InternalImportsByDefault"),
    ]
}
