import Autograd
import Diffusion
package import Files
import Foundation
import NN
package import PipelineCore
import PreferenceModels
import Ranks
import Shards
import StageSupport
import StepwiseOptimization
import Telemetry

/// Tunes the U-Net by step-by-step preference optimization.
///
/// One item samples a batch of prompts, keeps the best and the worst candidate of each step, and
/// trains on those pairs. Low-rank adapters of all attention projections are trained.
///
/// - Reads: `shards`, and `preference-model` unless a setting names another
/// - Writes: `lora`, the file `spo/pytorch_lora_weights.safetensors` with diffusers' keys;
///   `optimization`, the training measurements
/// - Source: Liang et al. 2024, arXiv 2406.04314, algorithm 1
package struct TuneSPO: RankedStage {
  package static let name = "spo"
  package static let version = 2
  package static let unit = "batches"
  package static let usesDevice = true
  package static let settingsWithoutEffect: Set<String> = [
    "model", "tokenizer", "vae", "preference", "start", "held_out_scorers",
  ]
  package static let spare = ["spo/checkpoints"]
  package static let repairsFiles = true
  package static let secondary = TuningStage.spo.measurements
  package let reads: Set<Artifact>
  package let writes: [Artifact: [String]] = TuningStage.spo.writes
  package static let fileNames = TuningStage.spo.fileNames

  package let settings: SPOSettings
  private let context: StageContext
  private let chosenPrompts: Deferred<[Int]>

  package init(settings: SPOSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    reads = settings.preference == nil ? ["shards", "preference-model"] : ["shards"]
    let shardFolder = context.workspace.path("shards")
    chosenPrompts = Deferred { try Self.prompts(settings, in: shardFolder) }
  }

  private var folder: String { context.output(Self.name) }
  private var loraPath: String { context.output(TuningStage.spo.loraFile) }
  private var shardFolder: String { context.workspace.path("shards") }

  package func inputs() throws -> [StageInput] {
    try settings.base.inputs(["unet", "vae", "scheduler"], context.digests)
      + (settings.preference.map { ModelFolder(path: $0) }?
        .preferenceInputs(context.digests, as: "preference") ?? [])
      + (settings.start.map { [try context.digests.input(file: $0, as: "start")] } ?? [])
      + NamedScorers(settings.heldOutScorers).inputs(context.digests)
  }

  /// Returns the prompts that images are generated for, by index in the shards.
  private static func prompts(_ settings: SPOSettings, in shardFolder: String) throws -> [Int] {
    let shards = try ShardSet(folder: shardFolder, split: "train", verifiesDigests: false)
    let all = settings.onlyListed ? try shards.listedPrompts() : Array(0..<shards.promptCount)
    guard !all.isEmpty else {
      throw PipelineError.badSetting(
        path: "spo.only_listed",
        reason: "is set, but no prompt of the training split comes from a prompt list")
    }
    return Array(all.prefix(settings.prompts))
  }

  private func schedule() throws -> SPOSettings.Schedule {
    settings.schedule(promptCount: try chosenPrompts().count)
  }

  private func intervals() throws -> CheckpointIntervals { try intervals(schedule()) }

  func intervals(_ schedule: SPOSettings.Schedule) throws -> CheckpointIntervals {
    try CheckpointIntervals(
      context, stage: Self.name, stepCount: schedule.batches, interval: settings.checkpointEvery)
  }

  package func earlierSettings() -> [String: JSON] {
    let preference = ModelFolder(
      path: settings.preference ?? context.workspace.path("\(TrainPreference.name)/model"))
    // A pixel preference model is not conditioned on such a timestep.
    let timestep = preference.isLatentPreferenceModel ? .drawn : settings.judgedTimestep
    return [
      "gradient_accumulation": 1, "judged_timestep": .string(timestep.rawValue), "labels": "step",
      "continue_from": "random", "held_out_every": .null, "held_out_prompts": 8,
      "inverted": false, "loss": "spo", "target_step": 0.5, "average_decay": .null,
      "window": .null, "held_out_scorers": .object(JSON.Object()), "held_out_oracle": "none",
    ]
  }

  package func remakesFilesAtOnce() throws -> Bool { try intervals().pending().isEmpty }
  package func workPlan() throws -> WorkPlan<StepwiseTraining> {
    try intervals().plan(begin: makeTraining)
  }

  package func follow() throws { try makeTraining().follow() }

  private func makeTraining() throws -> StepwiseTraining {
    let shards = try ShardSet(folder: shardFolder, split: "train")
    let layout = shards.layout
    let tuner = try StepwiseTuner(
      settings,
      preference: try settings.preferenceScorer(in: context.workspace),
      negative: try shards.emptyConditioning(),
      latentShape: [layout.latentHeight, layout.latentWidth, layout.latentChannels],
      ranks: context.ranks, checkInterruption: context.checkInterruption)
    let training = try StepwiseTraining(
      settings, context, try intervals(), tuner, shards, prompts: try chosenPrompts(),
      images(of: try ShardSet.heldOut(in: shardFolder), tuner))
    context.noteIdleRanks(
      "sample", batch: settings.batch, "spo.batch", settings.promptsAtOnce, "spo.prompts_at_once")
    return training
  }

  func images(of shards: any ComparisonData, _ tuner: StepwiseTuner) -> HeldOutImages {
    HeldOutImages(
      shards: shards, count: settings.pictures, scheduler: tuner.scheduler,
      steps: settings.samplingSteps, seed: settings.seed, unit: "batch",
      folder: "\(folder)/pictures")
  }

  package func spareFindings() throws -> [String] {
    try CheckpointFolders(in: "\(folder)/checkpoints").findings()
  }

  /// Refuses to start from the file that the stage itself replaces: it would never be up to date.
  func requireOtherStart() throws {
    try StartingLoRA.require(
      settings.start, isNot: context.workspace.path(TuningStage.spo.loraFile), stage: Self.name)
  }

  package func results() throws -> [String] {
    try TrainingWarnings.read(from: folder).map { "warning: \($0)" } + [
      "the LoRA is in \(loraPath)"
    ]
  }
}

extension SPOSettings {
  /// Returns the configured preference model, or else the trained one.
  package func preferenceScorer(in workspace: Workspace) throws -> PreferenceScorer {
    let path = preference ?? workspace.path("\(TrainPreference.name)/model")
    return try PreferenceScorer(
      ModelFolder(path: path).narrowed(to: preferencePrecision.narrowing), of: base,
      timestep: judgedTimestep)
  }
}
