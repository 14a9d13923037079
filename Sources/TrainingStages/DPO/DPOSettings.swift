public import PipelineCore
public import StageSupport

/// Settings of stage `dpo`; the defaults are those of diffusers' example for Stable Diffusion v1.5.
public struct DPOSettings: ModelSettings {
  @Setting("The diffusion model to tune: a diffusers folder or a checkpoint file.")
  public var model = ""
  @Setting("Tokenizer folder, for a checkpoint file; null: the model's own.")
  public var tokenizer: String? = nil
  @Setting("A VAE to use instead of the model's: a folder or a file; null: the model's own.")
  public var vae: String? = nil
  /// The reference of the loss remains the model without a LoRA.
  @Setting(
    "A LoRA file to continue training, of the same rank and modules; null: a new LoRA.")
  public var start: String? = nil
  @Setting(
    "Learn from both images of each comparison (dpo), or from the preferred one only (supervised)."
  )
  public var loss = Loss.dpo
  @Setting("Seed of all random streams.")
  public var seed: UInt64 = 42
  @Setting("Training steps.", in: 1...1_000_000)
  public var steps = 10_000
  @Setting("Comparisons per batch.", in: 1...65_536)
  public var batch = 32
  @Setting(
    "Comparisons per forward and backward pass; gradients are summed over the batch.", in: 1...4_096
  )
  public var microBatch = 1
  @Setting(
    "Recompute the U-Net's blocks in the backward pass: a third more time, much less memory.")
  public var gradientCheckpointing = false
  @Setting("Rank of the LoRA; alpha is the rank.", in: 1...4_096)
  public var rank = 8
  /// diffusers' script for Stable Diffusion v1.5 omits the factor 1/2: its `--beta_dpo 2500` is
  /// 5000 here.
  @Setting(
    "Scale of the error differences in the loss, which uses beta / 2.", above: 0,
    upTo: 1_000_000)
  public var beta: Float = 5_000
  @Setting(
    "Scale rejected images' gradients so that preferred ones get no worse; 0.9 as published; null: off.",
    in: 0...1)
  public var safeguard: Float? = nil
  @Setting("Prefer the rejected images, to train a LoRA for --negative-lora (Diffusion-NPO).")
  public var inverted = false
  @Setting("Upper limit (exclusive) of the sampled timesteps.", in: 1...1_000)
  public var timestepLimit = 1_000
  @Setting("Learning rate of AdamW.", in: 1e-9...0.1)
  public var learningRate: Float = 1e-5
  @Setting("Steps of linear warm-up; the rate is constant afterwards.", in: 0...1_000_000)
  public var warmUpSteps = 0
  @Setting("Weight decay of AdamW.", in: 0...10)
  public var weightDecay: Float = 1e-2
  @Setting("Gradients are clipped to this global norm; null: no clipping.", in: 1e-3...1e6)
  public var gradientLimit: Float? = 1
  @Setting("Held-out prompts to sample before the first step and at each checkpoint.", in: 0...256)
  public var pictures = 4
  @Setting("DDIM sampling steps of these images.", in: 1...1_000)
  public var samplingSteps = 20
  @Setting("Classifier-free guidance scale of these images.", in: 0...100)
  public var guidance: Float = 5
  @Setting("Steps between checkpoints.", in: 1...1_000_000)
  public var checkpointEvery = 500

  /// The loss to minimize.
  public enum Loss: String, CaseIterable, Codable, Sendable {
    case dpo
    /// The denoising error on preferred images, as in the model's own training: the baseline.
    case supervised
  }

  public init() {}

  public func check() throws(SettingConflict) {
    try requireModel()
    guard warmUpSteps < steps else {
      throw SettingConflict(
        "warm_up_steps", "must be below steps (\(steps)), but is \(warmUpSteps)")
    }
    let unused = Self().beta
    guard loss == .dpo || beta == unused else {
      throw SettingConflict(
        "beta",
        "must be \(unused), the default, where loss is \"supervised\", which has no beta, but is \(beta)"
      )
    }
    if loss == .supervised, let safeguard {
      throw SettingConflict(
        "safeguard",
        "must be null where loss is \"supervised\", which has no rejected images, but is \(safeguard)"
      )
    }
  }

  package static let modelUse = ModelUse.tunes
}
