import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import Imaging
public import PipelineCore
import ProceduralWorld
import RandomStreams
import ReportStages
import StageSupport
import TrainingStages

/// Generates the embedded sample of comparisons: images from the embedded model, compared by a
/// noisy blend of the oracle's two scores, in the published schema of Pick-a-Pic.
///
/// Within a prompt the winner stays in place and the loser is replaced, as in the original data
/// collection: five images make four comparisons.
///
/// - Reads: `model`
/// - Writes: `comparisons`, parquet files in `comparisons/data`
public struct MakeComparisons: Stage {
  public struct Settings: StageSettings {
    @Setting("Seed of all random streams.")
    public var seed: UInt64 = 42
    @Setting("Prompts of the training split.", in: 1...100_000)
    public var trainPrompts = 600
    @Setting("Prompts of the validation split.", in: 1...100_000)
    public var validationPrompts = 120
    @Setting("Images per prompt; each but the first gives a comparison.", in: 2...1_000)
    public var picturesPerPrompt = 5
    @Setting("DDIM sampling steps.", in: 1...999)
    public var steps = 10
    @Setting("Classifier-free guidance scale.", in: 0...100)
    public var guidance: Float = 3
    @Setting(
      "Factor of the difference in utility before the logistic noise.", above: 0, upTo: 1_000)
    public var sharpness = 6.0
    @Setting("Fraction of comparisons that tie.", in: 0..<1)
    public var tieShare = 0.12
    @Setting("Quality of the JPEG files.", in: 1...100)
    public var jpegQuality = 85
    @Setting("Rows per row group of the parquet files.", in: 1...1_000_000)
    public var rowsPerGroup = 200

    public init() {}

    public func check() throws(SettingConflict) {
      let count = SceneSplit.standard.training.count
      guard trainPrompts + validationPrompts <= count else {
        throw SettingConflict(
          "train_prompts",
          "must be at most \(count) together with validation_prompts (\(validationPrompts)), but is "
            + "\(trainPrompts): there are no more scenes")
      }
    }
  }

  public static let name = "comparisons"
  public static let version = 1
  public static let unit = "prompts"
  public static let usesDevice = true
  public let reads: Set<Artifact> = ["model"]
  public static let spare = ["comparisons/pictures"]
  public static let repairsFiles = true
  public let writes: [Artifact: [String]] = [
    "comparisons": [
      "comparisons/data", "comparisons/validation-prompts.json", "comparisons/tuning-prompts.json",
    ]
  ]
  public static let fileNames = [
    "comparisons/data/", "comparisons/pictures/*.safetensors", "comparisons/*-prompts.json",
  ]

  private static let promptsPerItem = 8
  /// The number of images generated before the stage can be interrupted.
  fileprivate static let imagesPerBatch = 64
  fileprivate let settings: Settings
  fileprivate let context: StageContext

  public init(settings: Settings, context: StageContext) throws {
    self.settings = settings
    self.context = context
  }

  fileprivate var folder: String { context.output(Self.name) }
  private var promptCount: Int { settings.trainPrompts + settings.validationPrompts }
  fileprivate func path(_ item: Int) -> String { "\(folder)/pictures/\(item).safetensors" }

  fileprivate func prompts(_ item: Int) -> Range<Int> {
    item * Self.promptsPerItem..<min((item + 1) * Self.promptsPerItem, promptCount)
  }

  private func promptCount(of item: Int) -> Int { prompts(item).count }

  public func workPlan() throws -> WorkPlan<ComparisonsWork> {
    let items = (0..<(promptCount + Self.promptsPerItem - 1) / Self.promptsPerItem)
      .filter { !Folders.exists(path($0)) }
    return WorkPlan(
      items, finishedUnitCount: promptCount - items.reduce(0) { $0 + promptCount(of: $1) },
      unitCount: promptCount(of:)
    ) {
      try ComparisonsWork(self)
    }
  }

  // MARK: - Comparing

  /// One row of the data set, before its label is sampled.
  private struct Row {
    let prompt: Int
    let first: Int
    let second: Int
    let firstIsLeft: Bool
  }

  /// Compares the generated images and writes the data set.
  fileprivate func writeComparisons() throws {
    let scenes = SceneSplit.standard.training
    var images: [[UInt8]] = []
    for item in 0..<(promptCount + Self.promptsPerItem - 1) / Self.promptsPerItem {
      let file = try SafetensorsFile(path: path(item))
      for index in 0..<file.entries.count { images.append(try file.bytes("\(index)")) }
    }
    let count = settings.picturesPerPrompt
    let scores = try images.enumerated().map { index, bytes in
      OracleScore(
        of: try WorldImage(try RGBImage(decoding: bytes), name: "image \(index) of \(folder)"),
        as: scenes[index / count])
    }
    try report(scores)
    let utility = Utility(scores: scores)
    let rows = compared(scores.map { utility($0) })
    let labels = PreferenceLabels(sharpness: settings.sharpness, tieShare: settings.tieShare)
      .labels(
        utilityDifferences: rows.map { utility(scores[$0.first]) - utility(scores[$0.second]) },
        seed: settings.seed)
    try Folders.make("\(folder)/data")
    try writePrompts(SceneSplit.standard.validation, to: "\(folder)/validation-prompts.json")
    try writePrompts(SceneSplit.standard.tuning, to: "\(folder)/tuning-prompts.json")
    let table = ComparisonFile(
      images: images, prompts: scenes.map(\.prompt), seed: settings.seed)
    let all = zip(rows, labels).map { row, label in
      ComparisonFile.Row(
        prompt: row.prompt, first: row.first, second: row.second, label: label,
        isSwapped: !row.firstIsLeft, rowsOfPrompt: count - 1)
    }
    try table.write(
      all.filter { $0.prompt < settings.trainPrompts }, split: "train", to: "\(folder)/data",
      rowsPerGroup: settings.rowsPerGroup)
    try table.write(
      all.filter { $0.prompt >= settings.trainPrompts }, split: "validation_unique",
      to: "\(folder)/data", rowsPerGroup: settings.rowsPerGroup)
  }

  /// Returns the rows: the winner stays in place (by the blend itself, so that rows and labels are
  /// sampled independently), the loser is replaced by the next image.
  private func compared(_ utilities: [Double]) -> [Row] {
    let count = settings.picturesPerPrompt
    return (0..<promptCount).flatMap { prompt in
      var stream = RandomStream(
        seed: settings.seed, purpose: "comparisons.side", item: UInt64(prompt))
      var champion = prompt * count
      var championIsLeft = stream.uniform() < 0.5
      return (1..<count).map { number in
        let challenger = prompt * count + number
        let row = Row(
          prompt: prompt, first: champion, second: challenger,
          firstIsLeft: championIsLeft)
        if utilities[challenger] > utilities[champion] {
          champion = challenger
          championIsLeft.toggle()
        }
        return row
      }
    }
  }

  /// Writes a prompt list for `report`.
  private func writePrompts(_ scenes: [Scene], to path: String) throws {
    try writeJSON(.array(scenes.map { ["caption": .string($0.prompt)] }), to: path)
  }

  private func report(_ scores: [OracleScore]) throws {
    func text(_ values: [Double]) -> String {
      let mean = values.reduce(0, +) / Double(values.count)
      let square = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
      return "\(shortened(Float(mean))) (sd \(shortened(Float(square.squareRoot()))))"
    }
    context.progress.say(
      "\(scores.count) images: aesthetics \(text(scores.map(\.aesthetics))), "
        + "agreement \(text(scores.map(\.agreement)))")
  }

  public func results() -> [String] { ["the comparisons are in \(folder)/data"] }
}

/// Generates the images of prompts, batch by batch.
public final class ComparisonsWork: StageWork {
  private let stage: MakeComparisons
  private let pipeline: TextToImage
  private let sampler: LatentSampler
  private let negative: Conditioning

  fileprivate init(_ stage: MakeComparisons) throws {
    self.stage = stage
    try Folders.make("\(stage.folder)/pictures")
    pipeline = try TextToImage(ModelFolder(path: stage.context.workspace.path("model")))
    let scheduler = try DDIMScheduler(
      SchedulerConfig(folder: stage.context.workspace.path("model/scheduler")))
    sampler = LatentSampler(
      unet: GuidedUNet(pipeline.unet, guidance: stage.settings.guidance), scheduler: scheduler,
      stepCount: stage.settings.steps, eta: 1)
    negative = try pipeline.negativeConditioning()
  }

  /// Returns the encoded images of an item's prompts.
  public func process(_ item: Int) throws -> [[UInt8]] {
    let scenes = stage.prompts(item).map { SceneSplit.standard.training[$0] }
    let conditioning = try pipeline.conditioning(of: scenes.map(\.prompt))
    let count = stage.settings.picturesPerPrompt
    let rows = scenes.indices.flatMap { [Int](repeating: $0, count: count) }
    let streams = stage.prompts(item).flatMap { prompt in
      (0..<count).map {
        RandomStream(
          seed: stage.settings.seed, purpose: "comparisons.picture", item: UInt64(prompt),
          UInt64($0))
      }
    }
    var images: [[UInt8]] = []
    for start in stride(from: 0, to: rows.count, by: MakeComparisons.imagesPerBatch) {
      try stage.context.checkInterruption()
      let part = start..<min(start + MakeComparisons.imagesPerBatch, rows.count)
      let latents = try sampler(
        conditioning: conditioning.rows(at: Array(rows[part])), negative: negative,
        streams: Array(streams[part]),
        latentShape: [TinyModel.latentSide, TinyModel.latentSide, 4])
      let decoded = withoutGradients { pipeline.autoencoder.decoder(latents) }
      images += try rgbImages(decoded).map {
        try $0.encodedAsJPEG(quality: stage.settings.jpegQuality)
      }
    }
    return images
  }

  public func commit(_ images: [[UInt8]], of item: Int) throws {
    try writeSafetensors(
      images.enumerated().map { index, bytes in
        OutgoingTensor("\(index)", type: .u8, shape: [bytes.count], bytes: { bytes })
      }, to: stage.path(item))
  }

  public func finish() throws -> WorkSummary {
    try stage.writeComparisons()
    return WorkSummary()
  }
}
