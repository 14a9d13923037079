import Backends
import Diffusion
import Evaluation
import NN
import PipelineCore
import Shards
import StageSupport
import TrainingStages

extension WriteReport: Estimating {
  var sources: [NamedSource] {
    settings.modelSources
      + (settings.split == nil
        ? [
          NamedSource(
            setting: "report.prompts", path: settings.prompts,
            what: "a prompt list to sample, such as [{\"caption\": \"...\"}]")
        ] : [])
      + (settings.negativeLora.map {
        [
          NamedSource(
            setting: "report.negative_lora", path: NegativeLoRA($0).path,
            what: "the LoRA that guidance steers away from")
        ]
      } ?? [])
      + NamedScorers(settings.scorers).sources("report.scorers")
  }

  func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan {
    var plan = StagePlan(on: backend)
    try planDrawing(scale, &plan)
    plan.releaseFreeMemory()
    // When the model that draws is gone.
    let together = settings.picturesPerPrompt
    try plan.run(
      NamedScorers(settings.scorers), of: settings.base, images: together,
      times: Double(drawnCount(scale)) / Double(together))
    return plan
  }

  private func planDrawing(_ scale: PipelineScale, _ plan: inout StagePlan) throws {
    let count = try promptCount(scale)
    let painter = try plan.build {
      try Painter(
        settings,
        loraRanks().map { rank in
          func fresh() -> AdapterSet { TunedUNet.freshAdapters(rank: rank, seed: settings.seed) }
          return (fresh(), settings.negativeLora == nil ? nil : fresh())
        })
    }
    let candidateScoring = try plan.build {
      try (settings.oracle == .none || settings.candidateDraws == 0 ? nil : scale.tuning).map {
        makeCandidateScoring(painter, $0, try $0.plannedPreferenceScorer(scale))
      }
    }
    for guidance in settings.scales {
      try plan.run(times: Double(count)) {
        try painter.decodedImages(
          of: try painter.pipeline.conditioning(of: [""]), guidance: guidance)
      }
    }
    guard let candidateScoring, count > 0 else { return }
    let some = 0..<min(CandidateScoring.batch, count)
    // Those of a split are not there yet; any that the oracle knows stands for them.
    let prompts =
      settings.split == nil
      ? try prompts()
      : [String](repeating: "a red circle on the left, dark background", count: some.count)
    try plan.run(times: Double(settings.candidateDraws * count) / Double(some.count)) {
      try candidateScoring(prompts, some, draw: 0)
    }
  }

  private func promptCount(_ scale: PipelineScale) throws -> Int {
    // Most prompts of a unique split have one comparison.
    try settings.split.map { min(scale.volume.rows(ofSplit: $0), scale.volume.prompts) }
      ?? prompts().count
  }

  /// All images.
  private func drawnCount(_ scale: PipelineScale) throws -> Int {
    try promptCount(scale) * settings.scales.count * models.count * settings.picturesPerPrompt
  }

  /// Parts draw all images of a prompt at one guidance at a time.
  func itemCount(_ scale: PipelineScale) throws -> Int {
    try promptCount(scale) * settings.scales.count
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let model = settings.base
    let layout = ShardLayout(try ModelConfiguration(model), side: nil, hasLogVariance: false)
    return try drawnCount(scale) * layout.pngByteCount(of: model)
  }

  var savings: [String] {
    settings.picturesPerPrompt > 1 ? ["report.pictures_per_prompt=1"] : []
  }
}
