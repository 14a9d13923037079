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
        .value("repeat", "R", "measured runs, after one that is not measured (5)"),
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
      name: "spo-step", options: ["model", "preference", "batch", "size"],
      make: ModelBench.stepwise),
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
    for option in ["model", "preference", "batch", "size"]
    where arguments.value(option) != nil && !subject.options.contains(option) {
      throw arguments.error("\(name) does not read --\(option)")
    }
    let options = try BenchOptions(arguments)
    if subject.takesFiles, options.files.isEmpty { throw arguments.error("FILE is missing") }
    if !subject.takesFiles, let extra = options.files.first {
      throw arguments.error("unexpected \"\(extra)\"; \(name) takes no files")
    }
    let runs = try arguments.int("repeat", in: 1...100_000) ?? 5
    if let threads = try arguments.int("threads", in: 1...1024) { Threads.count = threads }
    let result = try BenchResult(
      name: name, work: try subject.make(options), runs: runs,
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
  let files: [String]

  init(_ arguments: Arguments) throws {
    model = ModelFolder(path: arguments.value("model") ?? "data/tiny-sd")
    preference = arguments.value("preference").map { ModelFolder(path: $0) }
    batch = try arguments.int("batch", in: 1...4096)
    size = try arguments.pair("size", separator: "x").map { ($0.first, $0.second) }
    if let size, !(1...16384).contains(size.width) || !(1...16384).contains(size.height) {
      throw arguments.error("--size must be of 1 to 16384 in each direction")
    }
    files = Array(arguments.operands.dropFirst())
  }
}
