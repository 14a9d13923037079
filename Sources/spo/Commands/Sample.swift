import Autograd
import CommandSyntax
import Diffusion
import Evaluation
import Files
import Imaging
import NN
import PipelineCore
import RandomStreams
import StageSupport
import Stages

/// `spo sample`: generates images from a prompt.
enum Sample: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "sample", summary: "Generate images from a prompt.", operands: [],
      options: ModelArguments.options(lora: "a LoRA file; several add up") + [
        .value("prompt", "STR", "the prompt"),
        .value("prompts", "FILE", "a prompt list instead of one prompt; --out is then a folder"),
        .value(
          "partition", "I/N", "process part I of N of the list; auto/N: I from the job array"),
        .flag("merge", "check that the parts have generated every image; generate none"),
        .value("negative", "STR", "negative prompt (empty)"),
        .value("seed", "N", "seed of the initial noise (42)"),
        .value("steps", "N", "sampling steps (20)"),
        .value("guidance", "X", "classifier-free guidance scale (7.5)"),
        .value("eta", "X", "DDIM eta, 0 to 1 (0)"),
        .value("size", "WxH", "image size in pixels (default: the model's)"),
        .value("count", "N", "images per prompt, each with the next seed (1)"),
        .value("scheduler", "NAME", "ddim, pndm, euler or dpm++ (default: the model's)"),
        .flag("vae-tiling", "decode tile by tile: less memory for large images"),
        .value("rng", "NAME", "torch-cpu, torch-cuda or native noise (torch-cpu)"),
        ComputingDevice.option,
        ComputingDevice.precisionOption,
        .value(
          "out", "FILE",
          "the .png or .jpg to write (numbered -1, -2 ... if several); with --prompts, a folder"),
      ],
      examples: [
        (
          "spo sample --model data/tiny-sd --prompt \"a red circle in the middle , light background\""
            + " --out circle.png", "one image"
        ),
        (
          "spo sample --model data/tiny-sd --prompts data/validation-prompts.json --count 4"
            + " --out images", "a prompt list, into images/00000/samples/0000.png and so on"
        ),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    if arguments.has("prompts") { try arguments.requireOneProcess() }
    try ComputingDevice(arguments).perform { try draw(arguments) }
  }

  private static func draw(_ arguments: Arguments) throws {
    let folder = try arguments.modelFolder()
    let list = arguments.value("prompts")
    if list != nil, arguments.has("prompt") {
      throw arguments.error("--prompt and --prompts cannot be used together")
    }
    for option in ["partition", "merge"] where list == nil && arguments.has(option) {
      throw arguments.error("--\(option) needs --prompts")
    }
    guard !arguments.has("merge") || !arguments.has("partition") else {
      throw arguments.error(
        "--merge cannot be combined with --partition; use it when all parts are complete")
    }
    var request = TextToImage.Request(
      prompt: try list == nil ? arguments.required("prompt") : "")
    request.negativePrompt = arguments.value("negative")
    request.steps = try arguments.int("steps", in: 1...1000) ?? 20
    request.guidance = try arguments.float("guidance") ?? 7.5
    request.eta = try arguments.float("eta") ?? 0
    request.scheduler = try scheduler(arguments)
    request.usesTiles = arguments.has("vae-tiling")
    let output = try arguments.required("out")
    let seed = try arguments.seed("seed") ?? 42
    let count = try arguments.int("count", in: 1...100_000) ?? 1
    let makeSource = try source(arguments)
    if let size = try arguments.pair("size", separator: "x") {
      let unit = try AutoencoderConfiguration(try folder.configuration("vae")).reduction
      guard
        [size.first, size.second].allSatisfy({
          ConfigurationRange.side.contains($0) && $0.isMultiple(of: unit)
        })
      else {
        throw arguments.error(
          "--size must be multiples of \(unit) up to \(ConfigurationRange.side.upperBound)")
      }
      request.size = (height: size.second, width: size.first)
    }
    try requireScheduler(request, folder)
    let model = try evaluatedModel(folder, arguments)
    try arguments.requireGuidance([request.guidance])
    let inputs = model.loraPaths + model.negativeLoRAs.map(\.path)
    if let list {
      try OutputPlace.require(output, besides: inputs + [list], models: arguments.modelPaths)
      Interruption.handleSignals()
      let prompts = try PromptList(path: try arguments.present(list, "prompts"))
      try warn(of: prompts.entries.map(\.text), request, folder)
      let partition = try arguments.partition()
      let outcome = try PromptFolders(
        path: output, prompts: prompts, count: count, partition: partition
      ).generate(
        request, with: model, seed: seed,
        noise: (arguments.value("rng") ?? "torch-cpu", makeSource), merges: arguments.has("merge")
      ) { try Console.print($0) }
      return Console.note(outcome.text(of: partition, among: prompts.entries.count))
    }
    let paths = count == 1 ? [output] : (1...count).map { numbered(output, $0) }
    for path in paths {
      try OutputPlace.requireFile(path, besides: inputs, models: arguments.modelPaths)
    }
    let encode = try encoder(output, arguments)
    try warn(of: [request.prompt], request, folder)
    let memory = PeakMemory()
    for path in inputs where try LoRAFile(path: path).changesNothing() {
      Console.complain("warning: \(LoRAError.changesNothing(path: path))")
    }
    let (adapters, negativeAdapters) = (try model.adapters(), try model.negativeAdapters())
    try naming(
      ["guidance \(request.guidance)"] + inputs.map { "LoRA \($0)" }
        + ["prompt \"\(request.prompt.prefix(80))\""]
    ) {
      try TextToImage.draw(
        request, of: folder, adapters: adapters, negativeAdapters: negativeAdapters,
        from: (0..<count).map { makeSource(seed &+ UInt64($0)) }
      ) { index, image in
        try AtomicFile.replace(paths[index], with: try encode(RGBImage(decoded: image)))
        try Console.print(paths[index])
      }
    }
    Console.note("peak memory \(ByteCount.text(memory.byteCount))")
  }

  /// Warns of prompts that will not be read as intended.
  private static func warn(
    of prompts: [String], _ request: TextToImage.Request, _ folder: ModelFolder
  ) throws {
    let tokenizer = try folder.tokenizer()
    try Console.warn(ofPrompts: prompts, tokenizer)
    if request.eta != 0 {
      let kind = try request.scheduler ?? folder.pipelineSchedulerConfig().kind()
      if kind != .ddim { Console.complain("warning: --eta has no effect: only ddim adds noise") }
    }
    if let negative = request.negativePrompt {
      if request.guidance <= 1 {
        Console.complain("warning: --negative has no effect at --guidance \(request.guidance)")
      }
      try Console.warn(ofPrompts: [negative], tokenizer, option: "--negative: ")
    }
  }

  private static func evaluatedModel(
    _ folder: ModelFolder, _ arguments: Arguments
  ) throws -> EvaluatedModel {
    EvaluatedModel(
      folder, loraPaths: try arguments.loraPaths(), loraScales: try arguments.loraScales(),
      negativeLoRAs: try arguments.negativeLoRAs())
  }

  private static func scheduler(_ arguments: Arguments) throws -> SchedulerKind? {
    guard let name = arguments.value("scheduler") else { return nil }
    let kinds: [String: SchedulerKind] = [
      "ddim": .ddim, "pndm": .pndm, "euler": .euler, "dpm++": .dpmSolver,
    ]
    guard let kind = kinds[name] else {
      let meant = ["ddim", "pndm", "euler", "dpm++"].first {
        name.lowercased().hasPrefix($0.prefix(3))
      }
      throw arguments.error(
        "--scheduler must be ddim, pndm, euler or dpm++, but is \"\(name)\""
          + (meant.map { "; did you mean \($0)?" } ?? ""))
    }
    return kind
  }

  /// Rejects an unsupported scheduler of the model; the error names the option that avoids it.
  private static func requireScheduler(
    _ request: TextToImage.Request, _ folder: ModelFolder
  ) throws {
    let config = try folder.pipelineSchedulerConfig()
    func plan(_ kind: SchedulerKind?) throws -> SamplingPlan {
      try SamplingPlan(config, kind: kind, stepCount: request.steps, eta: request.eta)
    }
    do {
      _ = try plan(request.scheduler)
    } catch let error as SchedulerError where request.scheduler == nil {
      guard case .unsupported = error, (try? plan(.ddim)) != nil else { throw error }
      throw RefusedScheduler(error: error)
    }
  }

  /// An unsupported scheduler that the user can avoid.
  private struct RefusedScheduler: ClassifiedError, CustomStringConvertible {
    let error: SchedulerError
    var kind: FailureKind { error.kind }
    var description: String { "\(error); --scheduler ddim samples with DDIM instead" }
  }

  private static func source(_ arguments: Arguments) throws -> (UInt64) -> AnyNormalSource {
    switch arguments.value("rng") ?? "torch-cpu" {
    case "torch-cpu": { AnyNormalSource(TorchCPUGenerator(seed: $0)) }
    case "torch-cuda": { AnyNormalSource(TorchCUDAGenerator(seed: $0)) }
    case "native": { AnyNormalSource(RandomStream(seed: $0, purpose: "sample")) }
    case let name:
      throw arguments.error("--rng must be torch-cpu, torch-cuda or native, but is \"\(name)\"")
    }
  }

  /// Returns the encoder for the path's extension; PNG if it has none.
  private static func encoder(
    _ path: String, _ arguments: Arguments
  ) throws -> (RGBImage) throws -> [UInt8] {
    switch ending(of: path).lowercased() {
    case "", "png": { try $0.encodedAsPNG() }
    case "jpg", "jpeg": { try $0.encodedAsJPEG(quality: 95) }
    case let other:
      throw arguments.error("--out must end in .png, .jpg or .jpeg, but ends in .\(other)")
    }
  }

  private static func ending(of path: String) -> String {
    let name = path.split(separator: "/").last ?? ""
    return name.contains(".") ? String(name.split(separator: ".").last ?? "") : ""
  }

  private static func numbered(_ path: String, _ number: Int) -> String {
    let ending = ending(of: path)
    guard !ending.isEmpty else { return "\(path)-\(number)" }
    return "\(path.dropLast(ending.count + 1))-\(number).\(ending)"
  }
}

extension PromptFolders.Outcome {
  /// Returns the outcome in words.
  fileprivate func text(of partition: Partition?, among total: Int) -> String {
    let images = Spelled.count(imageCount) + (imageCount == 1 ? " image" : " images")
    let origin =
      generatedCount == imageCount && generatedCount > 0
      ? "generated"
      : generatedCount == 0
        ? "nothing to generate" : "\(Spelled.count(generatedCount)) generated now"
    let whole = "\(Spelled.count(total)) prompt\(total == 1 ? "" : "s")"
    guard let partition else { return "\(images) of \(whole): \(origin)" }
    return
      "part \(partition) is complete: \(images) of \(Spelled.count(promptCount)) of \(whole), \(origin)"
  }
}

/// A type-erased source of noise.
private struct AnyNormalSource: NormalSource {
  private var source: any NormalSource
  init(_ source: some NormalSource) { self.source = source }
  mutating func fillNormal(_ values: UnsafeMutableBufferPointer<Float>) {
    source.fillNormal(values)
  }
}
