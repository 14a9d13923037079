import CommandSyntax
import Diffusion
import Files
import TensorCore

/// `spo bench`: how long one part takes here.
enum Bench: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "bench", summary: "Measure one part of the program on this machine.",
      operands: [
        CommandSyntax.Operand("NAME"),
        CommandSyntax.Operand("FILE", isOptional: true, isRepeatable: true),
      ],
      options: [
        .value("model", "DIR", "a model folder in the layout of diffusers (data/tiny-sd)"),
        .value("preference", "DIR", "a preference model (a random one)"),
        .value("batch", "B", "pictures, latents or prompts at once"),
        .value("size", "WxH", "of the latents, or of the picture to encode (the model's own)"),
        .value("steps", "N", "sampling steps of an iteration (20)"),
        .value("rank", "R", "of the LoRA (4)"),
        .value("micro-batch", "B", "pairs whose gradients are computed at once (10)"),
        .flag("gradient-checkpointing", "run the U-Net's blocks again in the backward pass"),
        .value("repeat", "R", "measured runs, after one that is not measured (5)"),
        .flag("cold", "measure the first run too"),
        .value("threads", "T", "threads of the kernels (all processors)"),
        .flag("profile", "print what each operation costs, too"),
        .flag("json", "print one JSON object"),
      ],
      examples: [
        ("spo bench unet --batch 8", "a forward pass of the embedded U-Net"),
        ("spo bench unet-lora --profile", "where the time of forward and backward passes goes"),
        ("spo bench jpeg pictures/*.jpg --threads 1", "decoding pictures"),
      ])
  }

  private struct Subject {
    let name: String
    /// Options that it reads, beside those that all read.
    let options: Set<String>
    var takesFiles = false
    let make: @Sendable (BenchOptions) throws -> BenchWork
  }

  private static let subjects = [
    Subject(name: "unet", options: ["model", "batch", "size"], make: ModelBench.unet),
    Subject(name: "unet-lora", options: ["model", "batch", "size"], make: ModelBench.unetLoRA),
    Subject(name: "vae-decode", options: ["model", "batch", "size"], make: ModelBench.decode),
    Subject(name: "vae-encode", options: ["model", "batch", "size"], make: ModelBench.encode),
    Subject(name: "text-encoder", options: ["model", "batch"], make: ModelBench.textEncoder),
    Subject(
      name: "preference", options: ["model", "preference", "batch"], make: ModelBench.preference),
    Subject(
      name: "spo-step",
      options: [
        "model", "preference", "batch", "size", "steps", "rank", "micro-batch",
        "gradient-checkpointing",
      ],
      make: ModelBench.stepwise),
    Subject(
      name: "spo-train",
      options: ["model", "batch", "size", "rank", "micro-batch", "gradient-checkpointing"],
      make: ModelBench.training),
    Subject(name: "jpeg", options: [], takesFiles: true, make: FileBench.jpeg),
    Subject(name: "parquet", options: [], takesFiles: true, make: FileBench.parquet),
    Subject(name: "shard", options: [], takesFiles: true, make: FileBench.shard),
  ]

  static func run(_ arguments: Arguments) throws {
    let name = arguments.operands[0]
    guard let subject = subjects.first(where: { $0.name == name }) else {
      let names = subjects.map(\.name).joined(separator: ", ")
      throw arguments.error("there is no benchmark \"\(name)\"; known are \(names)")
    }
    let options = subjects.reduce(into: Set<String>()) { $0.formUnion($1.options) }
    for option in options.sorted()
    where arguments.has(option) && !subject.options.contains(option) {
      throw arguments.error("\(name) does not read --\(option)")
    }
    let chosen = try BenchOptions(arguments)
    if subject.takesFiles, chosen.files.isEmpty { throw arguments.error("FILE is missing") }
    if !subject.takesFiles, let extra = chosen.files.first {
      throw arguments.error("unexpected \"\(extra)\"; \(name) takes no files")
    }
    let runs = try arguments.int("repeat", in: 1...100_000) ?? 5
    if let threads = try arguments.int("threads", in: 1...1024) { Threads.count = threads }
    let result = try BenchResult(
      name: name, work: try subject.make(chosen), runs: runs, isCold: arguments.has("cold"),
      profile: arguments.has("profile") ? OperationProfile() : nil)
    Console.print(arguments.has("json") ? result.json.text() : result.text)
  }
}

/// What a benchmark was asked for.
struct BenchOptions {
  let model: ModelFolder
  let preference: ModelFolder?
  let batch: Int?
  let size: (width: Int, height: Int)?
  let steps: Int?
  let rank: Int?
  let microBatch: Int?
  let usesGradientCheckpointing: Bool
  let files: [String]

  init(_ arguments: Arguments) throws {
    model = ModelFolder(path: arguments.value("model") ?? "data/tiny-sd")
    preference = arguments.value("preference").map { ModelFolder(path: $0) }
    batch = try arguments.int("batch", in: 1...4096)
    size = try arguments.pair("size", separator: "x").map { ($0.first, $0.second) }
    if let size, !(1...16384).contains(size.width) || !(1...16384).contains(size.height) {
      throw arguments.error("--size must be of 1 to 16384 in each direction")
    }
    steps = try arguments.int("steps", in: 1...1000)
    rank = try arguments.int("rank", in: 1...4096)
    microBatch = try arguments.int("micro-batch", in: 1...4096)
    usesGradientCheckpointing = arguments.has("gradient-checkpointing")
    files = Array(arguments.operands.dropFirst())
  }
}
