public import Diffusion
public import NN
public import PipelineCore
public import StageSupport

/// Settings of stage `preference`; the defaults are those published for Stable Diffusion v1.5.
public struct PreferenceSettings: ModelSettings {
  @Setting("Input of the preference model: estimated clean images, or noised latents.")
  public var kind = Kind.pixel
  @Setting("The diffusion model that estimates clean images: a diffusers folder or a file.")
  public var model = ""
  @Setting("Tokenizer folder, for a checkpoint file; null: the model's own.")
  public var tokenizer: String? = nil
  @Setting("A VAE to use instead of the model's: a folder or a file; null: the model's own.")
  public var vae: String? = nil
  @Setting("Seed of all random streams.")
  public var seed: UInt64 = 42
  /// A latent preference model starts from `model` and takes only the text projection from here, or
  /// a random one if this is empty; or, with its guidance, from a latent preference model here.
  @Setting("Folder of the CLIP model, or preference model, to start from.")
  public var start = ""
  @Setting("Initialize the weights randomly; only the configuration files of start are used.")
  public var startsFresh = false
  @Setting("Training steps.", in: 1...1_000_000)
  public var steps = 8_000
  @Setting("Comparisons per batch.", in: 1...65_536)
  public var batch = 64
  @Setting(
    "Comparisons per forward and backward pass; gradients are summed over the batch.",
    in: 1...65_536)
  public var microBatch = 4
  @Setting("Recompute layers in the backward pass: a third more time, much less memory.")
  public var gradientCheckpointing = false
  @Setting("Keep the optimizer's moments in a file, which halves the memory for weights.")
  public var optimizerOnDisk = false
  /// Takes the place of a fine-tuned CLIP at full size.
  @Setting("Initial steps on clean images, at timestep 0.", in: 0...1_000_000)
  public var cleanSteps = 0
  @Setting("Upper limit (exclusive) of the sampled timesteps.", in: 2...1_000)
  public var timestepLimit = 1_000
  @Setting(
    "Sample only timestep 1 and every N-th after it; null: all timesteps.", in: 1...999)
  public var timestepSpacing: Int? = nil
  @Setting(
    "Condition the model on the timestep; false: always on 0, an ablation; see spo.judged_timestep."
  )
  public var stepAware = true
  @Setting("Use the same noise for both images of a comparison.")
  public var sharesNoise = true
  @Setting("Classifier-free guidance scale of the estimated images.", in: 0...100)
  public var guidance: Float = 5
  @Setting(
    "Guidance on a latent model's deepest features; 1: none, at half the cost.", in: 0...100)
  public var featureGuidance: Float = 7.5
  @Setting(
    "Noise draws per comparison, estimated once and reused; 0: new ones at every step.", in: 0...100
  )
  public var estimates = 0
  @Setting("Comparisons estimated at a time.", in: 1...4_096)
  public var estimateBatch = 2
  @Setting("Peak learning rate of AdamW.", in: 1e-9...0.1)
  public var learningRate: Float = 3e-6
  /// With `log`, the first update runs at the peak, the second at 0, and update i, counted from 0,
  /// at log(i) / log(`warm_up_steps`) of it, as DeepSpeed's scheduler does by default.
  @Setting("Shape of the warm-up, before the rate decays linearly to 0; published: log.")
  public var warmUp = LearningRateSchedule.WarmUp.log
  @Setting("Steps of the warm-up.", in: 0...1_000_000)
  public var warmUpSteps = 500
  @Setting("Weight decay of AdamW.", in: 0...10)
  public var weightDecay: Float = 0.3
  @Setting("Decay of AdamW's second moment.", in: 0..<1)
  public var beta2: Float = 0.999
  @Setting("Gradients are clipped to this global norm.", in: 1e-3...1e6)
  public var gradientLimit: Float = 1
  @Setting(
    "Checkpoint that becomes the model: the last, as published, or the best on held-out pairs.")
  public var keep = KeptCheckpoint.last
  @Setting(
    "Held-out comparisons on which each checkpoint, and finally the model, is evaluated.",
    in: 1...1_000_000)
  public var validationPairs = 500
  @Setting("Timesteps at which accuracy is measured.", in: 0...999)
  public var validationTimesteps = [1, 251, 501, 701, 951]
  @Setting(
    "The best checkpoint is chosen by mean accuracy at the validation timesteps below this.",
    in: 1...1_000)
  public var selectionLimit = 1_000
  @Setting("Steps between checkpoints.", in: 1...1_000_000)
  public var checkpointEvery = 500
  @Setting("Precision of the finished model's matrices; f16 halves its memory in stage spo.")
  public var precision = WeightPrecision.f32

  public enum Kind: String, CaseIterable, Codable, Sendable {
    /// Images, as the diffusion model predicts them from noise.
    case pixel
    /// Noised latents.
    case latent
  }

  public enum KeptCheckpoint: String, CaseIterable, Codable, Sendable {
    case last
    case best
  }

  public init() {}

  package static let modelUse = ModelUse.trains

  public func check() throws(SettingConflict) {
    try requireModel()
    guard kind == .latent || !start.isEmpty else {
      throw SettingConflict("start", "is missing: the folder of the CLIP model to start from")
    }
    guard warmUpSteps < steps else {
      throw SettingConflict(
        "warm_up_steps", "must be below steps (\(steps)), but is \(warmUpSteps)")
    }
    guard cleanSteps < steps else {
      throw SettingConflict(
        "clean_steps",
        "must be below steps (\(steps)), but is \(cleanSteps): no step would see a noised image")
    }
    if let timestepSpacing, timestepSpacing >= timestepLimit {
      throw SettingConflict(
        "timestep_spacing",
        "must be below timestep_limit (\(timestepLimit)), but is \(timestepSpacing)")
    }
    guard Set(validationTimesteps).count == validationTimesteps.count else {
      throw SettingConflict("validation_timesteps", "must list each timestep only once")
    }
    guard let least = validationTimesteps.min() else {
      throw SettingConflict("validation_timesteps", "must list at least one timestep")
    }
    guard least < selectionLimit else {
      throw SettingConflict(
        "selection_limit",
        "must be above the lowest of validation_timesteps (\(least)), but is \(selectionLimit): "
          + "no timestep would be left to choose the best checkpoint by")
    }
  }
}
