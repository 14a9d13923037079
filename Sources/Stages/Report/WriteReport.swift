import Autograd
import Diffusion
import Files
import Foundation
import Imaging
import NN
public import PipelineCore
import ProceduralWorld
import Reporting
import Telemetry
import TensorCore

/// Draws held-out prompts before and after tuning and writes what came of it.
///
/// - Reads: `lora`, `preference-model`, `exports`
/// - Writes: `report`, the files `report/index.html` and `report/summary.json`, the pictures in
///   `report/pictures`
public final class WriteReport: Stage {
  public static let name = "report"
  public static let version = 1
  public static let unit = "prompts"
  public let reads: Set<Artifact> = ["lora", "preference-model", "exports"]
  public let writes: Set<Artifact> = ["report"]

  private let settings: ReportSettings
  private let context: StageContext
  private var painter: Painter?

  /// The model with and without what was learned.
  private struct Painter {
    let pipeline: TextToImage
    let tuned: UNet
    let scheduler: DDIMScheduler
    let negative: Conditioning
  }

  public init(settings: ReportSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
  }

  private var folder: String { context.workspace.path(Self.name) }
  private var loraPath: String {
    context.workspace.path("\(TuneSPO.name)/pytorch_lora_weights.safetensors")
  }

  private func picturePath(_ prompt: Int, _ picture: Int, _ state: String) -> String {
    "\(folder)/pictures/\(String(format: "%03d", prompt))-\(picture)-\(state).png"
  }

  private func prompts() throws -> [String] {
    try JSONReader(try JSON(contentsOf: settings.prompts), path: settings.prompts).elements()
      .map { $0.value.string == nil ? try $0.string("caption") : try $0.string() }
  }

  public func inputs() throws -> [StageInput] {
    [try context.digests.input(file: settings.prompts)]
  }

  public func missingOutput() -> String? {
    ["index.html", "summary.json"].map { "\(folder)/\($0)" }.first { !Folders.exists($0) }
  }

  public func reset() throws { try Folders.remove(folder) }

  private func isDrawn(_ prompt: Int) -> Bool {
    (0..<settings.picturesPerPrompt).allSatisfy {
      Folders.exists(picturePath(prompt, $0, "before"))
        && Folders.exists(picturePath(prompt, $0, "after"))
    }
  }

  public func pendingItems() throws -> [Int] {
    try prompts().indices.filter { !isDrawn($0) }
  }

  public func finishedUnitCount() throws -> Int { try prompts().indices.filter(isDrawn).count }

  public func prepare() throws {
    try Folders.make("\(folder)/pictures")
    let model = ModelFolder(path: settings.model)
    let pipeline = try TextToImage(model)
    let adapters = AdapterSet()
    try LoRAFile(path: loraPath).addUNetAdapters(to: adapters)
    let tuned = try model.unet(adapters: adapters).model
    try adapters.requireAllMatched()
    painter = Painter(
      pipeline: pipeline, tuned: tuned,
      scheduler: try DDIMScheduler(SchedulerConfig(folder: "\(model.path)/scheduler")),
      negative: try pipeline.negativeConditioning())
  }

  // MARK: - Pictures

  /// The pictures before, then those after, encoded.
  public func process(_ prompt: Int) throws -> [[UInt8]] {
    guard let painter else { return [] }
    let count = settings.picturesPerPrompt
    let conditioning = try painter.pipeline.conditioning(of: [try prompts()[prompt]])
      .repeated(count)
    return try [painter.pipeline.unet, painter.tuned].flatMap { unet in
      let sampler = LatentSampler(
        unet: GuidedUNet(unet, guidance: settings.guidance), scheduler: painter.scheduler,
        stepCount: settings.samplingSteps, eta: settings.eta)
      let side = unet.configuration.sampleSize
      let latents = try sampler(
        conditioning: conditioning, negative: painter.negative,
        streams: (0..<count).map {
          RandomStream(
            seed: settings.seed, purpose: "report.picture", item: UInt64(prompt), UInt64($0))
        }, latentShape: [side, side, unet.configuration.inputChannels])
      let autoencoder = painter.pipeline.autoencoder
      let decoded = withoutGradients {
        autoencoder.decoder(latents.scaled(by: 1 / autoencoder.configuration.scalingFactor))
      }
      return try images(decoded).map { try $0.encodedAsPNG() }
    }
  }

  public func commit(_ pictures: [[UInt8]], of prompt: Int) throws {
    let count = settings.picturesPerPrompt
    for (index, bytes) in pictures.enumerated() {
      let state = index < count ? "before" : "after"
      try AtomicFile.replace(picturePath(prompt, index % count, state), with: bytes)
    }
  }

  // MARK: - Report

  public func finish() throws {
    let prompts = try prompts()
    var summary = JSON.Object()
    let evaluationPath = context.workspace.path("\(TrainPreference.name)/evaluation.json")
    let evaluation = try JSONReader(contentsOf: evaluationPath)
    summary["preference"] = [
      "accuracy": try evaluation["accuracy"].value, "pairs": try evaluation["pairs"].value,
    ]
    var scores: OracleComparison?
    if settings.oracle == .proceduralWorld {
      let comparison = try OracleComparison(prompts: prompts, settings: settings) {
        try RGBImage(decoding: try RegularFile(path: picturePath($0, $1, $2)).readAll())
      }
      summary["oracle"] = comparison.json
      scores = comparison
    }
    summary["seconds"] = .object(try seconds())
    summary["outputs"] = .object(try outputs())
    try writeJSON(.object(summary), to: "\(folder)/summary.json")
    try ReportPage(
      prompts: prompts, settings: settings, evaluation: evaluation, oracle: scores,
      metrics: (
        preference: try MetricsLog.lines(
          of: context.workspace.path("\(TrainPreference.name)/metrics.jsonl")),
        spo: try MetricsLog.lines(of: context.workspace.path("\(TuneSPO.name)/metrics.jsonl"))
      ),
      picture: { try RegularFile(path: self.picturePath($0, $1, $2)).readAll() }
    ).report().write(to: "\(folder)/index.html")
  }

  /// How long each stage before this one took, from the runner's records.
  private func seconds() throws -> JSON.Object {
    let folder = context.workspace.path("state")
    var seconds = JSON.Object()
    for stage in [
      Ingest.name, Encode.name, Shard.name, TrainPreference.name, TuneSPO.name, Export.name,
    ] {
      let path = "\(folder)/\(stage).json"
      guard Folders.exists(path) else { continue }
      seconds[stage] = .number(try JSONReader(contentsOf: path).double("seconds"))
    }
    return seconds
  }

  /// What a run made and where it lies, relative to the workspace.
  private func outputs() throws -> JSON.Object {
    var outputs: JSON.Object = .init()
    outputs["report"] = "report/index.html"
    outputs["lora"] = "export/pytorch_lora_weights.safetensors"
    if let webui = try Folders.names(in: context.workspace.path("export/webui")).first {
      outputs["webui"] = .string("export/webui/\(webui)")
    }
    outputs["merged"] = "export/merged"
    return outputs
  }

  public func results() throws -> [String] {
    let summary = try JSONReader(contentsOf: "\(folder)/summary.json")
    var lines: [String] = []
    if let oracle = try summary.optional("oracle") {
      for name in ["aesthetics", "agreement"] {
        let score = try oracle[name]
        let (before, after) = (try score["before"].double(), try score["after"].double())
        lines.append(
          String(
            format: "%@ %.2f -> %.2f (%+.2f, standard error %.2f)", name, before, after,
            after - before, try score["paired_standard_error"].double()))
      }
    }
    return lines + ["the report is \(folder)/index.html"]
  }
}
