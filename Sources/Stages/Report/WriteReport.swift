import Diffusion
import Files
import Foundation
import Imaging
import PipelineCore
import PreferenceModels
import ProceduralWorld
import Reporting
import StepwiseOptimization
import Telemetry

/// Draws held-out prompts before and after tuning and writes what came of it.
///
/// - Reads: `lora` (and what it was made with), `optimization`, `exports`; `evaluation` where a
///   preference model was trained
/// - Writes: `report`, the files `report/index.html` and `report/summary.json`, the pictures in
///   `report/pictures`
final class WriteReport: Stage {
  static let name = "report"
  static let version = 3
  static let unit = "prompts"
  static let usesDevice = true
  static let settingsWithoutEffect: Set<String> = ["model", "tokenizer", "prompts"]
  static let repairsFiles = true
  let reads: Set<Artifact> = ["lora", "optimization", "exports"]
  let readsIfMade: Set<Artifact> = ["evaluation"]
  let writes: [Artifact: [String]] = ["report": [name]]

  let settings: ReportSettings
  private let context: StageContext
  private var painter: Painter?

  private var judging: CandidateJudging?

  enum Item {
    /// All pictures of a prompt, before and after.
    case pictures(prompt: Int)
    /// The candidates of a batch of prompts, drawn once.
    case candidates(CandidateBatch)
  }

  enum Output {
    case pictures([[UInt8]])
    case judgements(CandidateJudging.Batch?)
  }

  init(settings: ReportSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
  }

  private var folder: String { context.output(Self.name) }
  private var loraPath: String {
    context.workspace.path(TuneSPO.loraFile)
  }

  private func picturePath(_ prompt: Int, _ picture: Int, _ state: String) -> String {
    "\(folder)/pictures/\(String(format: "%03d", prompt))-\(picture)-\(state).png"
  }

  func prompts() throws -> [String] {
    try JSONReader(try JSON(contentsOf: settings.prompts), path: settings.prompts).elements()
      .map { $0.value.string == nil ? try $0.string("caption") : try $0.string() }
  }

  func inputs() throws -> [StageInput] {
    let model = settings.base
    return try model.inputs(model.textParts, context.digests)
      + [context.digests.input(file: settings.prompts, as: "prompts")]
      + settings.beside.filter { Folders.exists($0) }.map {
        try context.digests.input(file: $0)
      }
  }

  private func isDrawn(_ prompt: Int) -> Bool {
    (0..<settings.picturesPerPrompt).allSatisfy {
      Folders.exists(picturePath(prompt, $0, "before"))
        && Folders.exists(picturePath(prompt, $0, "after"))
    }
  }

  struct CandidateBatch {
    let draw: Int
    let prompts: Range<Int>
  }

  private func candidatePath(_ batch: CandidateBatch) -> String {
    "\(folder)/candidates/\(batch.draw)-\(batch.prompts.lowerBound).json"
  }

  /// The batches of prompts whose candidates are judged: none without an oracle.
  func candidateBatches() throws -> [CandidateBatch] {
    guard settings.oracle != .none else { return [] }
    let count = try prompts().count
    let size = CandidateJudging.batch
    return (0..<settings.candidateDraws).flatMap { draw in
      stride(from: 0, to: count, by: size).map {
        CandidateBatch(draw: draw, prompts: $0..<min($0 + size, count))
      }
    }
  }

  func pendingItems() throws -> [Item] {
    let pictures = try prompts().indices.filter { !isDrawn($0) }
    let batches = try candidateBatches().filter { !Folders.exists(candidatePath($0)) }
    return pictures.map { .pictures(prompt: $0) } + batches.map { .candidates($0) }
  }

  func finishedUnitCount() throws -> Int {
    try prompts().indices.filter(isDrawn).count
      + candidateBatches().filter { Folders.exists(candidatePath($0)) }
      .reduce(0) { $0 + $1.prompts.count }
  }

  func unitCount(of item: Item) -> Int {
    if case .candidates(let batch) = item { batch.prompts.count } else { 1 }
  }

  func prepare() throws {
    try Folders.make("\(folder)/pictures")
    try Folders.make("\(folder)/candidates")
    let painter = try Painter(settings, loraPath: loraPath)
    self.painter = painter
    guard settings.oracle != .none else { return }
    let optimization = try optimizationSettings()
    judging = makeJudging(
      painter, optimization, try optimization.judge(in: context.workspace))
  }

  /// - Parameter optimization: what candidates were drawn with
  func makeJudging(
    _ painter: Painter, _ optimization: SPOSettings, _ judge: PreferenceJudge
  ) -> CandidateJudging {
    CandidateJudging(
      sampler: CandidateSampler(
        unet: GuidedUNet(painter.pipeline.unet, guidance: optimization.guidance),
        scheduler: painter.scheduler,
        settings: optimization.sampling(
          promptsAtOnce: CandidateJudging.batch, seed: settings.seed),
        latentShape: painter.latentShape),
      judge: judge, pipeline: painter.pipeline, negative: painter.negative)
  }

  /// What candidates were drawn with.
  private func optimizationSettings() throws -> SPOSettings {
    try context.settings(SPOSettings.self, of: TuneSPO.name)
  }

  private func recordPath(_ stage: String) -> String {
    context.workspace.path("state/\(stage).json")
  }

  // MARK: - Pictures

  func process(_ item: Item) throws -> Output {
    let prompts = try prompts()
    switch item {
    case .pictures(let prompt):
      let pictures = try painter?.pictures(of: prompts[prompt], number: prompt) ?? []
      return .pictures(try pictures.map { try $0.encodedAsPNG() })
    case .candidates(let batch):
      return .judgements(try judging?(prompts, batch.prompts, draw: batch.draw))
    }
  }

  func commit(_ output: Output, of item: Item) throws {
    switch (output, item) {
    case (.pictures(let pictures), .pictures(let prompt)):
      let count = settings.picturesPerPrompt
      for (index, bytes) in pictures.enumerated() {
        let state = index < count ? "before" : "after"
        try AtomicFile.replace(picturePath(prompt, index % count, state), with: bytes)
      }
    case (.judgements(let judged), .candidates(let batch)):
      if let judged { try writeJSON(judged.json, to: candidatePath(batch)) }
    default: preconditionFailure("an output of another item")
    }
  }

  // MARK: - Report

  func finish() throws {
    let prompts = try prompts()
    var summary = JSON.Object()
    let preferenceFolder = context.workspace.path(TrainPreference.name)
    // A preference model that was given has none.
    let evaluation =
      try optimizationSettings().preference == nil
      ? PreferenceEvaluation.read(from: preferenceFolder) : nil
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
      summary["oracle"] = oracle.comparison.json
      summary["candidates"] = .array(oracle.candidates.map(\.json))
      summary["seconds_per_sampling_step"] = .number(oracle.stepTime.secondsPerStep)
    }
    let warnings = try warnings()
    summary["warnings"] = .array(warnings.map { .string($0) })
    summary["seconds"] = .object(try seconds())
    summary["outputs"] = .object(try outputs())
    try writeJSON(.object(summary), to: "\(folder)/summary.json")
    try ReportPage(
      prompts: prompts, settings: settings, warnings: warnings,
      variants: try RunSummary.all(
        summary: .object(summary), folder: folder, beside: settings.beside), evaluation: evaluation,
      oracle: oracle,
      metrics: (
        preference: try evaluation == nil ? [] : TrainingLog.lines(in: preferenceFolder),
        spo: try TrainingLog.lines(in: context.workspace.path(TuneSPO.name))
      ),
      records: try records(),
      picture: { try RegularFile(path: self.picturePath($0, $1, $2)).readAll() }
    ).report().write(to: "\(folder)/index.html")
  }

  /// What the stages that trained say against their own results.
  private func warnings() throws -> [String] {
    let isTrained = try optimizationSettings().preference == nil
    return try ((isTrained ? [TrainPreference.name] : []) + [TuneSPO.name]).flatMap {
      try TrainingWarnings.read(from: context.workspace.path($0))
    }
  }

  private func oracleFindings(_ prompts: [String]) throws -> ReportPage.OracleFindings? {
    guard settings.oracle == .proceduralWorld else { return nil }
    let comparison = try OracleComparison(prompts: prompts, settings: settings) {
      try RGBImage(decoding: try RegularFile(path: picturePath($0, $1, $2)).readAll())
    }
    let judged = try candidateBatches().map {
      try CandidateJudging.Batch(try JSONReader(contentsOf: candidatePath($0)))
    }
    return ReportPage.OracleFindings(
      comparison: comparison,
      candidates: CandidateOrder.all(
        judged.flatMap(\.judgements), Utility(scores: comparison.before)),
      stepTime: judged.reduce(.init()) { $0 + $1.time })
  }

  /// The stages before this one, as the runner has recorded them.
  private func records() throws -> [(stage: String, record: JSONReader)] {
    try [
      Ingest.name, Encode.name, Label.name, Shard.name, TrainPreference.name, TuneSPO.name,
      Export.name,
    ].filter { Folders.exists(recordPath($0)) }
      .map { ($0, try JSONReader(contentsOf: recordPath($0))) }
  }

  private func seconds() throws -> JSON.Object {
    try records().reduce(into: JSON.Object()) { seconds, entry in
      seconds[entry.stage] = .number(try entry.record.double("seconds"))
    }
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

  func results() throws -> [String] {
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
    if let candidates = try summary.optional("candidates") {
      lines.append("candidates of one noisy latent, ordered as the oracle orders them:")
      for step in try candidates.elements() {
        let (all, recorded) = (try step["all"], try step["recorded"])
        lines.append(
          String(
            format: "  t=%d: %.3f of %d (standard error %.3f); recorded pairs %.3f of %d (%.3f)",
            try step.int("timestep"), try all.double("share"), try all.int("pairs"),
            try all.double("standard_error"), try recorded.double("share"),
            try recorded.int("pairs"), try recorded.double("standard_error")))
      }
    }
    if let seconds = try summary.optional("seconds_per_sampling_step") {
      lines.append(
        String(
          format: "a sampling step with its candidates took %.1f ms a prompt",
          1_000 * (try seconds.double())))
    }
    return lines + ["the report is \(folder)/index.html"]
  }
}
