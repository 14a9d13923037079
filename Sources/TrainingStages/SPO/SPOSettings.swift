import Diffusion
public import PipelineCore
public import StageSupport
public import StepwiseOptimization

/// Settings of stage `spo`; the defaults are those published for Stable Diffusion v1.5.
public struct SPOSettings: ModelSettings {
  @Setting("The diffusion model to tune: a diffusers folder or a checkpoint file.")
  public var model = ""
  @Setting("Tokenizer folder, for a checkpoint file; null: the model's own.")
  public var tokenizer: String? = nil
  @Setting("A VAE to use instead of the model's: a folder or a file; null: the model's own.")
  public var vae: String? = nil
  /// A folder, or a weights file with its configuration next to it.
  @Setting(
    "A trained preference model, step-aware or latent; null: the one that stage preference trains.")
  public var preference: String? = nil
  /// The reference of the loss remains the model without a LoRA.
  @Setting(
    "A LoRA file to continue training, of the same rank and modules; null: a new LoRA.")
  public var start: String? = nil
  @Setting("Precision of the preference model's large weights in memory.")
  public var preferencePrecision = PreferencePrecision.asStored
  @Setting("Seed of all random streams.")
  public var seed: UInt64 = 42
  @Setting("Passes over the prompts.", in: 1...10_000)
  public var epochs = 10
  @Setting("Training prompts per epoch; all of them if there are fewer.", in: 1...10_000_000)
  public var prompts = 4_000
  @Setting("Use only prompts from prompt lists.")
  public var onlyListed = false
  @Setting("Prompts per sampling batch.", in: 1...4_096)
  public var batch = 10
  @Setting(
    "Prompts sampled at a time: bounds the memory, and affects the last bits of results.",
    in: 1...4_096)
  public var promptsAtOnce = 1
  @Setting("Stop after this many sampling batches; 0: after all epochs.", in: 0...10_000_000)
  public var iterations = 0
  @Setting("DDIM sampling steps.", in: 1...1_000)
  public var samplingSteps = 20
  @Setting("DDIM eta: 1 is ancestral sampling.", in: 0.01...1)
  public var eta: Float = 1
  @Setting("Classifier-free guidance scale.", in: 0...100)
  public var guidance: Float = 5
  @Setting("Candidates sampled from each shared latent.", in: 2...256)
  public var candidates = 4
  @Setting("First sampling step, counted from 0, whose candidates are compared.", in: 0...999)
  public var divertStep = 4
  @Setting(
    "First sampling step, counted from 0, whose candidates are no longer compared; null: none.",
    in: 1...1_000)
  public var stopStep: Int? = nil
  @Setting(
    "Compare only this many consecutive steps per batch, from a random one on (MixGRPO); null: all.",
    in: 1...1_000)
  public var window: Int? = nil
  @Setting(
    "Steps that each candidate continues on its own before it is scored; SDXL as published: 3.",
    in: 0...998)
  public var innerSteps = 0
  @Setting(
    "Label each step by its own candidates, or all steps by the finished images (D3PO)."
  )
  public var labels = CandidateSamplingSettings.Labels.step
  @Setting("Candidate that sampling continues from; best and worst are ablations.")
  public var continueFrom = CandidateSamplingSettings.Continuation.random
  @Setting(
    "Least difference in preference probability between a pair's best and worst candidate.",
    in: 0..<1)
  public var threshold = 0.3
  /// Between the two, thresholds are proportional to the noise level.
  @Setting(
    "Threshold at the noisiest step; threshold is then for the least noisy; null: the same.",
    in: 0..<1)
  public var highestThreshold: Double? = nil
  @Setting("Loss: spo as published, or gradspo, which weights all timesteps equally (GradSPO).")
  public var loss = Loss.spo
  @Setting(
    "Step from prediction to target in the loss gradspo; 0.5 as published.", above: 0, upTo: 100)
  public var targetStep: Float = 0.5
  @Setting(
    "EMA decay of the weights that sample candidates; 0.9 in GradSPO; null: the newest weights.",
    in: 0..<1)
  public var averageDecay: Float? = nil
  @Setting("Prefer the worst candidates, to train a LoRA for --negative-lora (Diffusion-NPO).")
  public var inverted = false
  @Setting("Pairs per training batch.", in: 1...4_096)
  public var pairBatch = 10
  /// The remainder of a sampling batch is carried over to the next.
  @Setting("Training batches per optimizer update; SDXL as published: 2.", in: 1...4_096)
  public var gradientAccumulation = 1
  @Setting(
    "Pairs per forward and backward pass; gradients are summed over the batch.", in: 1...4_096)
  public var microBatch = 1
  @Setting(
    "Recompute the U-Net's blocks in the backward pass: a third more time, much less memory.")
  public var gradientCheckpointing = false
  @Setting("Rank of the LoRA; alpha is the rank.", in: 1...4_096)
  public var rank = 4
  @Setting("Scale of the log-ratios in the loss.", above: 0, upTo: 1_000_000)
  public var beta: Float = 10
  @Setting("Likelihood ratios are clamped to within this of 1.", in: 1e-4...0.99)
  public var clip: Float = 0.1
  @Setting("Learning rate of AdamW.", in: 1e-9...0.1)
  public var learningRate: Float = 6e-5
  @Setting("Weight decay of AdamW.", in: 0...10)
  public var weightDecay: Float = 1e-4
  @Setting(
    "Gradients are clipped to this global norm; null: no clipping, as published.",
    in: 1e-3...1e6)
  public var gradientLimit: Float? = nil
  /// An ablation gives no timestep to any preference model.
  ///
  /// Otherwise a pixel model gets the timestep of its estimate.
  @Setting(
    "Timestep that conditions a latent preference model: drawn, source (published) or none (0)."
  )
  public var judgedTimestep = ConditioningTimestep.source
  @Setting(
    "Held-out prompts to sample before the first batch, after each epoch and at the end.",
    in: 0...256)
  public var pictures = 4
  @Setting(
    "Sampling batches between scorings of held-out images by the preference model; null: none.",
    in: 1...1_000_000)
  public var heldOutEvery: Int? = nil
  @Setting("Held-out prompts to score, always from the same noise.", in: 1...4_096)
  public var heldOutPrompts = 8
  @Setting(
    "Published scorers that also score these images, as in report.scorers: { pickscore: DIR }.")
  public var heldOutScorers: [String: String] = [:]
  @Setting("Additional scorer of these images: none, or the oracle of the built-in world.")
  public var heldOutOracle = Oracle.none
  @Setting("Sampling batches between checkpoints.", in: 1...1_000_000)
  public var checkpointEvery = 10

  public enum PreferencePrecision: String, CaseIterable, Codable, Sendable {
    case asStored = "as-stored"
    case f16
    case bf16

    /// Nil: the file's own precision.
    var narrowing: WeightPrecision? { WeightPrecision(rawValue: rawValue) }
  }

  public enum ConditioningTimestep: String, CaseIterable, Codable, Sendable {
    /// The timestep of the noise in a candidate.
    case drawn
    /// The timestep that it was sampled from.
    case source
    /// Timestep 0, as for a clean image.
    case zero = "none"
  }

  /// The loss to minimize.
  public enum Loss: String, CaseIterable, Codable, Sendable {
    case spo
    case gradspo
  }

  public init() {}

  public func check() throws(SettingConflict) {
    try requireModel()
    guard divertStep < samplingSteps else {
      throw SettingConflict(
        "divert_step",
        "must be below sampling_steps (\(samplingSteps)), but is \(divertStep): no candidates would "
          + "be compared")
    }
    if let stopStep, stopStep <= divertStep {
      throw SettingConflict(
        "stop_step",
        "must be above divert_step (\(divertStep)), but is \(stopStep): no candidates would be "
          + "compared")
    }
    if let stopStep, stopStep > samplingSteps {
      throw SettingConflict(
        "stop_step", "must be at most sampling_steps (\(samplingSteps)), but is \(stopStep)")
    }
    if let window, window > comparedSteps.count {
      throw SettingConflict(
        "window",
        "must be at most the number of compared steps (\(comparedSteps.count)), but is \(window)")
    }
    guard divertStep + innerSteps < samplingSteps else {
      throw SettingConflict(
        "inner_steps",
        "must be below sampling_steps less divert_step (\(samplingSteps - divertStep)), but is "
          + "\(innerSteps): candidates would never be scored")
    }
    if labels == .trajectory {
      guard innerSteps == 0 else {
        throw SettingConflict(
          "inner_steps",
          "must be 0 where labels is \"trajectory\", but is \(innerSteps): candidates continue alone to "
            + "the end anyway")
      }
      guard continueFrom == .random else {
        throw SettingConflict(
          "continue_from",
          "must be \"random\" where labels is \"trajectory\", but is \"\(continueFrom.rawValue)\": "
            + "finished images are not continued")
      }
    }
    if let highestThreshold, highestThreshold < threshold {
      throw SettingConflict(
        "highest_threshold",
        "must be at least threshold (\(threshold)), but is \(highestThreshold)")
    }
    try checkLoss()
    try NamedScorers.check(heldOutScorers, "held_out_scorers")
    let unused = Self().heldOutPrompts
    guard heldOutEvery != nil || heldOutPrompts == unused else {
      throw SettingConflict(
        "held_out_prompts",
        "must be \(unused), the default, where held_out_every is null (none are scored), but is "
          + "\(heldOutPrompts)")
    }
    guard heldOutEvery != nil || heldOutScorers.isEmpty && heldOutOracle == .none else {
      let (setting, unset) =
        heldOutScorers.isEmpty ? ("held_out_oracle", "\"none\"") : ("held_out_scorers", "{}")
      throw SettingConflict(
        setting, "must be \(unset) where held_out_every is null: no image is scored")
    }
  }

  private func checkLoss() throws(SettingConflict) {
    guard loss == .gradspo else {
      let unused = Self().targetStep
      guard targetStep == unused else {
        throw SettingConflict(
          "target_step",
          "must be \(unused), the default, where loss is \"spo\", which has none, but is \(targetStep)"
        )
      }
      return
    }
    guard innerSteps == 0, labels == .step else {
      throw SettingConflict(
        "loss",
        "must be \"spo\" where inner_steps is not 0 or labels is not \"step\", but is \"gradspo\": its pairs "
          + "are sampled from one latent")
    }
  }

  package static let modelUse = ModelUse.tunes

  /// The sampling steps whose candidates are compared.
  var comparedSteps: Range<Int> {
    let end = min(stopStep ?? samplingSteps, samplingSteps)
    return min(max(0, divertStep), end)..<end
  }

  /// The number of batches of prompts.
  struct Schedule {
    let batchesPerEpoch: Int
    let batches: Int

    /// Whether held-out prompts are sampled after a number of batches.
    func drawsImages(after batch: Int) -> Bool {
      batch.isMultiple(of: batchesPerEpoch) || batch == batches
    }
  }

  func schedule(promptCount: Int) -> Schedule {
    let batchesPerEpoch = (promptCount + batch - 1) / batch
    let all = batchesPerEpoch * epochs
    return Schedule(
      batchesPerEpoch: batchesPerEpoch, batches: iterations > 0 ? min(iterations, all) : all)
  }

  /// Returns the settings for sampling and comparing candidates.
  package func sampling(promptsAtOnce: Int, seed: UInt64) -> CandidateSamplingSettings {
    CandidateSamplingSettings(
      steps: samplingSteps, eta: eta, candidates: candidates, comparedSteps: comparedSteps,
      window: window, innerSteps: innerSteps,
      thresholds: threshold...max(threshold, highestThreshold ?? threshold),
      labels: labels, continuation: continueFrom, promptsAtOnce: promptsAtOnce, seed: seed)
  }
}
