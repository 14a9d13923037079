import CommandSyntax

/// A benchmark.
struct BenchSubject {
  let name: String
  /// Options that it reads in addition to the common ones.
  let options: Set<String>
  var takesFiles = false
  /// Creates one piece of work, or one per size.
  let make: @Sendable (BenchOptions) throws -> [BenchWork]

  static let all = [
    BenchSubject(name: "gemm", options: []) { _ in [GEMMBench.square()] },
    one("unet", ["model", "precision", "batch", "size"], ModelBench.unet),
    one("unet-lora", ["model", "precision", "batch", "size", "rank"], ModelBench.unetLoRA),
    one("vae-decode", ["model", "precision", "batch", "size"], ModelBench.decode),
    one("vae-encode", ["model", "precision", "batch", "size"], ModelBench.encode),
    one("text-encoder", ["model", "precision", "batch"], ModelBench.textEncoder),
    one(
      "preference", ["model", "precision", "preference", "preference-precision", "batch"],
      ModelBench.preference),
    one(
      "latent-preference", ["model", "precision", "batch", "size", "gradient-checkpointing"],
      ModelBench.latentPreference),
    one(
      "spo-step",
      [
        "model", "precision", "preference", "preference-precision", "batch", "size", "steps",
        "rank",
        "micro-batch", "gradient-checkpointing",
      ], ModelBench.stepwise),
    one(
      "spo-train",
      ["model", "precision", "batch", "size", "rank", "micro-batch", "gradient-checkpointing"],
      ModelBench.training),
    operation("convolution", OperatorBench.convolution),
    operation("linear", OperatorBench.linear),
    operation("attention", OperatorBench.attention),
    operation("group-norm", OperatorBench.groupNorm),
    operation("layer-norm", OperatorBench.layerNorm),
    operation("geglu", OperatorBench.geglu),
    files("jpeg", FileBench.jpeg),
    files("parquet", FileBench.parquet),
    files("shard", FileBench.shard),
  ]

  static func named(_ name: String) -> BenchSubject? { all.first { $0.name == name } }

  /// Finds the benchmark named by the first operand, if it reads the other arguments.
  init(checking arguments: Arguments) throws {
    let name = arguments.operands[0]
    guard let subject = Self.named(name) else {
      let names = (BenchPlan.groups + Self.all.map(\.name)).joined(separator: ", ")
      throw arguments.error("unknown benchmark \"\(name)\"; available: \(names)")
    }
    let options = Self.all.reduce(into: Set<String>()) { $0.formUnion($1.options) }
    for option in options.sorted()
    where arguments.has(option) && !subject.options.contains(option) {
      throw arguments.error("--\(option) does not apply to \(name)")
    }
    let files = arguments.operands.dropFirst()
    if subject.takesFiles, files.isEmpty { throw arguments.error("FILE is missing") }
    if !subject.takesFiles, let extra = files.first {
      throw arguments.error("unexpected \"\(extra)\"; \(name) takes no files")
    }
    self = subject
  }

  private init(
    name: String, options: Set<String>, takesFiles: Bool = false,
    make: @escaping @Sendable (BenchOptions) throws -> [BenchWork]
  ) {
    self.name = name
    self.options = options
    self.takesFiles = takesFiles
    self.make = make
  }

  private static func one(
    _ name: String, _ options: Set<String>,
    _ make: @escaping @Sendable (BenchOptions) throws -> BenchWork
  ) -> BenchSubject {
    BenchSubject(name: name, options: options.union(["plan"])) { [try make($0)] }
  }

  private static func operation(
    _ name: String, _ make: @escaping @Sendable (BenchOptions) throws -> [BenchWork]
  ) -> BenchSubject {
    BenchSubject(name: name, options: ["batch", "case", "gradients", "plan"]) { options in
      try make(options).filter { work in options.filter.map { work.size.contains($0) } ?? true }
    }
  }

  private static func files(
    _ name: String, _ make: @escaping @Sendable (BenchOptions) throws -> BenchWork
  ) -> BenchSubject {
    BenchSubject(name: name, options: [], takesFiles: true) { [try make($0)] }
  }
}
