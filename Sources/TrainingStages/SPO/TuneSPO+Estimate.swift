package import Backends
package import Diffusion
import Imaging
import NN
import PipelineCore
import PreferenceModels
import Scorers
import Shards
package import StageSupport
import StepwiseOptimization

extension TuneSPO: Estimating {
  package var sources: [NamedSource] {
    settings.modelSources
      + (settings.preference.map {
        [.clip("spo.preference", $0, "the trained preference model")]
      } ?? [])
      + NamedSource.start(settings.start, stage: Self.name)
      + NamedScorers(settings.heldOutScorers).sources("spo.held_out_scorers")
  }

  package func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan {
    var plan = StagePlan(on: backend)
    let schedule = self.schedule(scale)
    let batches = Double(schedule.batches)
    var settings = settings
    // Every comparison gives a pair.
    (settings.threshold, settings.highestThreshold) = (-1, nil)
    if let window = settings.window {
      // Later windows take more calls of the U-Net: one in the middle takes as many as they do on average.
      let steps = settings.comparedSteps
      settings.divertStep = steps.lowerBound + (steps.count - window) / 2
      settings.stopStep = settings.divertStep + window
      settings.window = nil
    }
    let data = PlannedComparisons(layout: try scale.layout(of: settings.base), split: "train")
    var tuner = try plan.build {
      try StepwiseTuner(
        settings, preference: try settings.plannedPreferenceScorer(scale),
        negative: try data.emptyConditioning(),
        latentShape: data.layout.imageShape)
    }
    let heldOutImages = images(of: data, tuner)
    if settings.pictures > 0 {
      try plan.run(times: Double(imageCount(schedule))) {
        try heldOutImages.image(of: 0, tuner.tuned, tuner.autoencoder, negative: tuner.negative)
      }
    }

    if let heldOut = HeldOutScores(settings, heldOutImages) {
      let scorer = try tuner.scorer(for: [ScoredPrompt(text: "", ids: data.prompt(0).inputIDs)])
      let times =
        1
        + (1...max(1, schedule.batches)).count {
          heldOut.areDue(after: $0, of: schedule.batches)
        }
      // Each of these has a comparison or more.
      let scored = min(settings.heldOutPrompts, max(1, scale.volume.heldOutRows))
      try plan.run(times: Double(times * scored)) {
        try heldOut.measure(0, tuner, scorer)
      }
      try plan.run(
        NamedScorers(settings.heldOutScorers), of: settings.base, images: 1,
        times: Double(times * scored))
    }

    let together = max(1, min(settings.promptsAtOnce, settings.batch))
    let (prompts, scorer) = try plan.run(times: batches) {
      let numbers = Array(0..<settings.batch)
      let scored = numbers.map { ScoredPrompt(text: "", ids: data.prompt($0).inputIDs) }
      return (
        PromptBatch(
          identifiers: numbers.map { UInt64($0) },
          conditioning: try data.conditioning(ofPrompts: numbers)),
        try tuner.scorer(for: scored)
      )
    }
    let before = plan.usedBytes
    let some = PromptBatch(
      identifiers: Array(prompts.identifiers.prefix(together)), conditioning: prompts.conditioning)
    let groups = Double(settings.batch) / Double(together)
    let pairs = try plan.run(times: batches * groups) {
      try tuner.sample(some, scorer: scorer, iteration: 0).pairs
    }
    // Training begins when all prompts of the batch are sampled: the pairs of the others are in memory, too.
    let others = plan.hold(Int(Double(plan.usedBytes - before) * (groups - 1)))
    let kept = self.settings.keptShare * Double(pairs.count) * groups
    let part = min(settings.pairBatch, 2 * settings.microBatch)
    let learned = max(1, min(part, Int(kept.rounded(.up))))
    // The last part of a batch is smaller, and so is a batch that gave few pairs. Such parts cannot reuse blocks
    // more than twice as large as they need, and get others.
    let fewer = sequence(first: learned) { ($0 - 1) / 2 }.prefix { $0 > 0 }.dropFirst()
    let sizes = (learned < part ? [learned / 3, learned * 2 / 3] : []) + [learned] + fewer
    // Pairs of all steps, and of those whose candidates continued alone, which take more.
    for some in [pairs, pairs.filter { !$0.sharesLatent }] where !some.isEmpty {
      for size in sizes where size > 0 {
        let isWhole = size == learned && some.count == pairs.count
        try plan.run(times: isWhole ? batches * kept / Double(learned) : 0) {
          try tuner.train(
            on: (0..<size).map { some[$0 * some.count / size] }, prompts.conditioning,
            iteration: 0)
        }
      }
    }
    withExtendedLifetime(others) {}
    return plan
  }

  private func schedule(_ scale: PipelineScale) -> SPOSettings.Schedule {
    let volume = scale.volume
    return settings.schedule(
      promptCount: min(
        settings.prompts, settings.onlyListed ? volume.listedPrompts : volume.prompts))
  }

  /// Of held-out prompts.
  private func imageCount(_ schedule: SPOSettings.Schedule) -> Int {
    (0...schedule.batches).count { schedule.drawsImages(after: $0) } * settings.pictures
  }

  package func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let (model, schedule) = (settings.base, self.schedule(scale))
    // What is carried over, and averages.
    let others =
      (settings.gradientAccumulation > 1 ? 1 : 0) + (settings.averageDecay == nil ? 0 : 1)
    return try TunedUNet.byteCount(
      model, rank: settings.rank, checkpoints: intervals(schedule).count, others: others)
      + imageCount(schedule) * scale.layout(of: model).pngByteCount(of: model)
  }

  package var savings: [String] {
    (settings.microBatch > 1 ? ["spo.micro_batch=1"] : [])
      + (settings.promptsAtOnce > 1 ? ["spo.prompts_at_once=1"] : [])
      + (settings.gradientCheckpointing ? [] : ["spo.gradient_checkpointing=true"])
      + (settings.preferencePrecision == .asStored ? ["spo.preference_precision=f16"] : [])
  }
}

extension SPOSettings {
  /// The share of comparisons whose preference is clear enough to give a pair.
  ///
  /// Models and prompts differ: 0.86 at a threshold of 0.05 and 0.40 at one of 0.42, measured on the
  /// embedded models.
  fileprivate var keptShare: Double {
    let threshold = (threshold + max(threshold, highestThreshold ?? threshold)) / 2
    return min(1, max(0.1, 0.92 - 1.24 * threshold))
  }

  /// The preference model that is given, or as it will have been trained.
  package func plannedPreferenceScorer(_ scale: PipelineScale) throws -> PreferenceScorer {
    let narrowing = preferencePrecision.narrowing
    guard preference == nil, let training = scale.training else {
      return try PreferenceScorer(
        ModelFolder(path: preference ?? "").narrowed(to: narrowing), of: base,
        timestep: judgedTimestep)
    }
    let stored = training.settings.precision
    return try training.plannedPreferenceScorer(
      as: stored == .f32 ? narrowing ?? stored : stored, timestep: judgedTimestep)
  }
}

extension StagePlan {
  /// Runs published scorers, one in memory at a time, on so many images of a prompt at once.
  package mutating func run(
    _ scorers: NamedScorers, of model: ModelFolder, images count: Int, times: Double
  ) throws {
    let images = [RGBImage](
      repeating: RGBImage(width: 1, height: 1, pixels: [0, 0, 0]), count: count)
    for (kind, path) in scorers.all {
      let scorer = try build { try Scorer(kind, path: path, tokenizer: try model.tokenizer()) }
      try run(times: times) { try scorer(images, prompt: "") }
    }
  }
}
