import DataStages
import Diffusion
import Evaluation
import Files
import Foundation
import Imaging
import PipelineCore
import PreferenceModels
import ProceduralWorld
import Reporting
import Scorers
import Shards
import StageSupport
import StepwiseOptimization
import Telemetry
import TrainingStages

/// Generates images of held-out prompts before and after tuning and writes the findings.
///
/// - Reads: the LoRA files of stages `spo` and `dpo`, or of whichever the pipeline has, and their
///   training measurements; `exports`; `evaluation` if a preference model was trained; `shards` if
///   the prompts come from a split
/// - Writes: `report`, the files `report/index.html` and `report/summary.json`, the images in
///   `report/pictures`
package struct WriteReport: Stage {
  static let name = "report"
  static let version = 4
  static let unit = "items"
  static let usesDevice = true
  static let settingsWithoutEffect: Set<String> = [
    "model", "tokenizer", "vae", "prompts", "scorers",
  ]
  static let repairsFiles = true
  let reads: Set<Artifact>
  let readsIfMade: Set<Artifact> = ["evaluation"]
  let writes: [Artifact: [String]] = ["report": [name]]
  static let fileNames =
    ["index.html", "summary.json", "pictures/*.png", "scores/*/*.json", "candidates/*.json"]
    .map { "\(name)/\($0)" }

  package let settings: ReportSettings
  let context: StageContext
  /// The stages that produced LoRAs.
  let stages: [TuningStage]
  let models: [ReportedModel]
  let files: ReportFiles
  let scoring: PublishedScores
  private let knownPrompts: Deferred<[String]>

  init(settings: ReportSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    stages = TuningStage.planned(in: context)
    models = ReportedModel.all(stages)
    reads = Set(
      stages.flatMap { [$0.lora, $0.optimization] } + ["exports"]
        + (settings.split == nil ? [] : ["shards"]))
    files = ReportFiles(folder: context.output(Self.name), scales: settings.scales)
    scoring = PublishedScores(settings, models, files)
    knownPrompts = Deferred {
      guard let split = settings.split else {
        return try PromptList(path: settings.prompts).entries.map(\.text)
      }
      let shards = try ShardSet(folder: context.workspace.path("shards"), split: split)
      return try (0..<shards.promptCount).map { try shards.prompt($0).text }
    }
  }

  var folder: String { context.output(Self.name) }

  func prompts() throws -> [String] { try knownPrompts() }

  func inputs() throws -> [StageInput] {
    let model = settings.base
    return try model.inputs(model.textParts + ["unet", "vae", "scheduler"], context.digests)
      + [
        settings.split.map { StageInput(name: "prompts", path: "report.prompts", identity: $0) }
          ?? context.digests.input(file: settings.prompts, as: "prompts")
      ]
      + (try settings.negativeLora.map {
        let path = NegativeLoRA($0).path
        guard Folders.exists(path) else {
          throw PipelineError.badSetting(
            path: "report.negative_lora", reason: "names \(path), which does not exist")
        }
        return [try context.digests.input(file: path, as: "negative_lora")]
      } ?? [])
      + NamedScorers(settings.scorers).inputs(context.digests)
      + settings.beside.filter { Folders.exists($0) }.map {
        try context.digests.input(file: $0)
      }
  }

  /// Images are drawn again only where that changes them; scores likewise.
  func lastingFiles() -> [LastingFiles] {
    let otherSettings: Set<String> = ["oracle", "candidate_draws", "shown_prompts", "beside"]
    let sources = ["model", "vae", "prompts", "negative_lora", "shards"] + stages.map(\.lora.name)
    func isDrawnFrom(_ name: String) -> Bool {
      sources.contains(name) || name.hasPrefix("model/") || name.hasPrefix("vae/")
    }
    let endings = settings.scales.indices.flatMap { scale in
      models.map { files.name($0, scale) }
    }
    let images = LastingFiles(
      endings.map { "\(Self.name)/pictures/*-\($0).png" }, otherSettings: otherSettings,
      dependOn: isDrawnFrom)
    return [images]
      + NamedScorers(settings.scorers).all.map(\.kind.rawValue).map { kind in
        LastingFiles(
          endings.map { "\(Self.name)/scores/\(kind)/*-\($0).json" }, otherSettings: otherSettings
        ) {
          isDrawnFrom($0) || $0.hasPrefix("\(kind)/")
        }
      }
  }

  private func isDrawn(_ prompt: Int, _ scale: Int) -> Bool {
    (0..<settings.picturesPerPrompt).allSatisfy { image in
      models.allSatisfy { Folders.exists(files.image(prompt, image, $0, scale: scale)) }
    }
  }

  /// Returns each prompt at each guidance.
  private func imageItems() throws -> [(prompt: Int, scale: Int)] {
    let count = try prompts().count
    return settings.scales.indices.flatMap { scale in (0..<count).map { ($0, scale) } }
  }

  struct CandidateBatch {
    let draw: Int
    let prompts: Range<Int>
  }

  func candidatePath(_ batch: CandidateBatch) -> String {
    "\(folder)/candidates/\(batch.draw)-\(batch.prompts.lowerBound).json"
  }

  /// Returns the batches of prompts whose candidates are scored: none without an oracle, or without
  /// candidates.
  func candidateBatches() throws -> [CandidateBatch] {
    guard settings.oracle != .none, stages.contains(.spo) else { return [] }
    let count = try prompts().count
    let size = CandidateScoring.batch
    return (0..<settings.candidateDraws).flatMap { draw in
      stride(from: 0, to: count, by: size).map {
        CandidateBatch(draw: draw, prompts: $0..<min($0 + size, count))
      }
    }
  }

  func workPlan() throws -> WorkPlan<ReportWork> {
    let all = try imageItems()
    let images = all.filter { !isDrawn($0.prompt, $0.scale) }
    let allScores = try scoring.items(prompts: prompts().count)
    let scores = allScores.filter { !scoring.isDone($0) }
    let allBatches = try candidateBatches()
    let batches = allBatches.filter { !Folders.exists(candidatePath($0)) }
    func promptCount(_ batches: [CandidateBatch]) -> Int {
      batches.reduce(0) { $0 + $1.prompts.count }
    }
    return WorkPlan(
      images.map { .images(prompt: $0.prompt, scale: $0.scale) }
        + batches.map { .candidates($0) } + scores.map { .scores($0) },
      finishedUnitCount: all.count - images.count + allScores.count - scores.count
        + promptCount(allBatches) - promptCount(batches),
      unitCount: \.unitCount,
      division: self
    ) {
      if !context.isPart {
        try Folders.make("\(folder)/pictures")
        try Folders.make("\(folder)/candidates")
      }
      // Errors in them surface before images are generated for hours.
      if !images.isEmpty { try scoring.requireReadable() }
      return ReportWork(self, try prompts())
    }
  }

  /// Creates the generator of images before and after.
  func makePainter() throws -> Painter {
    try Painter(settings, loraPaths: stages.map { context.workspace.path($0.loraFile) })
  }

  /// Creates the sampler that reproduces and scores candidates as in stage `spo`.
  func makeCandidateScoring(_ painter: Painter) throws -> CandidateScoring {
    let optimization = try context.settings(SPOSettings.self, of: TuneSPO.name)
    return makeCandidateScoring(
      painter, optimization, try optimization.preferenceScorer(in: context.workspace))
  }

  /// - Parameter optimization: the settings with which candidates were sampled
  func makeCandidateScoring(
    _ painter: Painter, _ optimization: SPOSettings, _ preference: PreferenceScorer
  ) -> CandidateScoring {
    CandidateScoring(
      sampler: CandidateSampler(
        unet: GuidedUNet(painter.pipeline.unet, guidance: optimization.guidance),
        scheduler: painter.scheduler,
        settings: optimization.sampling(
          promptsAtOnce: CandidateScoring.batch, seed: settings.seed),
        latentShape: painter.latentShape),
      preference: preference, pipeline: painter.pipeline, negative: painter.negative)
  }

  /// Returns the settings with which candidates were sampled; nil if there are none.
  private func stepwiseSettings() throws -> SPOSettings? {
    stages.contains(.spo) ? try context.settings(SPOSettings.self, of: TuneSPO.name) : nil
  }

  /// Whether the pipeline has trained the preference model: a given one is not evaluated.
  private func hasTrainedPreferenceModel() throws -> Bool {
    try stepwiseSettings().map { $0.preference == nil } ?? context.plans(TrainPreference.name)
  }

  /// Returns the ranks of the LoRAs.
  func loraRanks() throws -> [Int] {
    try stages.map { stage in
      switch stage {
      case .spo: try context.planned(SPOSettings.self, of: TuneSPO.name)?.rank ?? 1
      case .dpo: try context.planned(DPOSettings.self, of: TuneDPO.name)?.rank ?? 1
      }
    }
  }

  private func recordPath(_ stage: String) -> String {
    context.workspace.path("state/\(stage).json")
  }

  // MARK: - Report

  /// Writes the page and the figures.
  func write() throws {
    let prompts = try prompts()
    var summary = JSON.Object()
    let preferenceFolder = context.workspace.path(TrainPreference.name)
    let evaluation =
      try hasTrainedPreferenceModel() ? PreferenceEvaluation.read(from: preferenceFolder) : nil
    if let evaluation {
      summary["preference"] = [
        "kind": .string(
          try context.settings(PreferenceSettings.self, of: TrainPreference.name).kind.rawValue),
        "accuracy": try evaluation["accuracy"].value, "pairs": try evaluation["pairs"].value,
        "split": try evaluation["split"].value,
        "chose_checkpoint": try evaluation["chose_checkpoint"].value,
      ]
    }
    let oracle = try oracleFindings(prompts)
    if let oracle {
      for comparison in oracle.comparisons {
        summary[key("oracle", comparison.model)] = comparison.json
      }
      if let scored = oracle.scored {
        summary["candidates"] = .array(scored.orders.map(\.json))
        summary["seconds_per_sampling_step"] = .number(scored.time.secondsPerStep)
      }
    }
    let scored = try scoring.comparisons(prompts: prompts.count)
    summary["prompts"] = .array(prompts.map { .string($0) })
    summary["sampling"] = sampling
    for comparison in scored {
      summary[key("scores", comparison.model)] = .array(
        comparison.rows.map { $0.fullJSON(prompts: prompts) })
    }
    let drifts = try drifts()
    for drift in drifts { summary[key("drift", drift.model)] = drift.json }
    let warnings = try warnings()
    summary["warnings"] = .array(warnings.map { .string($0) })
    summary["seconds"] = .object(try seconds())
    summary["outputs"] = .object(try outputs())
    try writeJSON(.object(summary), to: "\(folder)/summary.json")
    try page(
      prompts, warnings: warnings, summary: .object(summary), evaluation: evaluation,
      oracle: oracle, scored: scored, drifts: drifts
    ).report().write(to: "\(folder)/index.html")
  }

  /// Returns the training stages' warnings about their own results.
  private func warnings() throws -> [String] {
    try ((hasTrainedPreferenceModel() ? [TrainPreference.name] : []) + stages.map(\.rawValue))
      .flatMap {
        try TrainingWarnings.read(from: context.workspace.path($0))
      } + trainedPromptWarnings()
      + ScoreIndependence(NamedScorers(settings.scorers).all, context).warnings()
  }

  /// Returns the key of a tuned model's figure in the summary: the first one's is the plain name.
  func key(_ figure: String, _ model: ReportedModel) -> String {
    model == models[1] ? figure : "\(figure)_\(model.name)"
  }

  private func drifts() throws -> [LoRADrift] {
    let base = try settings.base.checkpoint("unet", stem: "diffusion_pytorch_model")
    let layers = try settings.base.unetLayers()
    return try models.compactMap { model in
      try model.stage.map { stage in
        let lora = try LoRAFile(path: context.workspace.path(stage.loraFile)).weights(for: layers)
        return LoRADrift(
          model: model, norm: lora.norm, baseNorm: try lora.baseNorm(in: base))
      }
    }
  }

  private func oracleFindings(_ prompts: [String]) throws -> ReportPage.OracleFindings? {
    guard settings.oracle == .proceduralWorld else { return nil }
    let scores = try models.map { model in
      try OracleComparison.scores(of: prompts, settings.picturesPerPrompt) {
        try RGBImage(
          decoding: try RegularFile(path: files.image($0, $1, model, scale: 0)).readAll())
      }
    }
    let scored = try candidateBatches().map {
      try CandidateScoring.Batch(try JSONReader(contentsOf: candidatePath($0)))
    }
    return ReportPage.OracleFindings(
      comparisons: zip(models, scores).dropFirst().map { model, after in
        OracleComparison(
          of: model, before: scores[0], after: after, prompts: prompts.count,
          groupSize: settings.picturesPerPrompt)
      },
      scored: scored.isEmpty
        ? nil
        : (
          CandidateOrder.all(scored.flatMap(\.scoredCandidates), Utility(scores: scores[0])),
          scored.reduce(.init()) { $0 + $1.time }
        ))
  }

  /// Returns the records of the stages before this one.
  func records() throws -> [(stage: String, record: JSONReader)] {
    try [
      Ingest.name, Encode.name, Label.name, Shard.name, TrainPreference.name, TuneSPO.name,
      TuneDPO.name, Export.name,
    ].filter { context.plans($0) && Folders.exists(recordPath($0)) }
      .map { ($0, try JSONReader(contentsOf: recordPath($0))) }
  }

  private func seconds() throws -> JSON.Object {
    try records().reduce(into: JSON.Object()) { seconds, entry in
      seconds[entry.stage] = .number(try entry.record.double("seconds"))
    }
  }

  /// Returns a run's outputs and their paths, relative to the workspace; names of a second LoRA's end in its stage.
  private func outputs() throws -> JSON.Object {
    var outputs: JSON.Object = .init()
    outputs["report"] = "report/index.html"
    let name = try context.settings(Export.Settings.self, of: Export.name).name
    for (number, stage) in stages.enumerated() {
      let folder = number == 0 ? Export.name : "\(Export.name)/\(stage.rawValue)"
      let ending = number == 0 ? "" : "_\(stage.rawValue)"
      func add(_ name: String, _ path: String) {
        guard Folders.exists(context.workspace.path("\(folder)/\(path)")) else { return }
        outputs[name + ending] = .string("\(folder)/\(path)")
      }
      add("lora", "pytorch_lora_weights.safetensors")
      let file = name + (number == 0 ? "" : "-\(stage.rawValue)")
      add("webui", "webui/\(file).safetensors")
      add("merged", "merged")
    }
    return outputs
  }
}
