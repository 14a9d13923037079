public import Diffusion
public import NN
public import PipelineCore

/// Settings of stage `preference`; the defaults are those published for Stable Diffusion v1.5.
public struct PreferenceSettings: StageSettings {
  /// What the preference model is shown.
  public var kind = Kind.pixel
  /// The diffusion model whose estimates, or latents, are judged: a folder or a checkpoint file.
  public var model = ""
  /// A folder with the tokenizer, for a checkpoint file; null: the model's own.
  public var tokenizer: String?
  public var seed: UInt64 = 42
  /// The folder of the CLIP model to start from, step-aware or not.
  ///
  /// A latent one starts from `model` and takes only the text projection from here, a fresh one if this
  /// is empty; or, with its guidance, from a latent preference model here.
  public var start = ""
  /// Draw the weights afresh; only the configuration files of `start` are used.
  public var startsFresh = false
  public var steps = 8_000
  /// Comparisons in a batch.
  public var batch = 64
  /// Comparisons whose gradients are computed at once; a batch is the sum of such parts.
  public var microBatch = 4
  /// Run layers, or the blocks of a latent preference model's U-Net, again in the backward pass.
  ///
  /// A third more time, little memory.
  public var gradientCheckpointing = false
  /// Keep the optimiser's two running means of each weight in a file, read and written at every step.
  ///
  /// Halves what training takes beside its layers; changes no result.
  public var optimizerOnDisk = false
  /// The first steps see clean pictures at timestep 0: the part that a fine-tuned CLIP plays at full
  /// size.
  public var cleanSteps = 0
  /// Timesteps are drawn from 0 to below this.
  public var timestepLimit = 1_000
  /// Draw only 1 and every so many more of them; nil: all.
  public var timestepSpacing: Int?
  /// Whether both pictures of a comparison get the same noise.
  public var sharesNoise = true
  /// Of the estimates.
  public var guidance: Float = 5
  /// Of the features of a latent preference model's lowest level; 1: none, for half the work.
  public var featureGuidance: Float = 7.5
  /// Estimates of each comparison that are made once and used again; 0 makes new ones at every step.
  public var estimates = 0
  /// Comparisons that are estimated at once.
  public var estimateBatch = 2
  public var learningRate: Float = 3e-6
  /// How the rate rises: `log` as DeepSpeed does by default and as published (the first update runs at the
  /// peak, the second at 0, number i at log(i) / log(`warm_up_steps`) of it), or in equal steps, `linear`.
  ///
  /// Then it falls to 0 in a straight line.
  public var warmUp = LearningRateSchedule.WarmUp.log
  public var warmUpSteps = 500
  public var weightDecay: Float = 0.3
  public var beta2: Float = 0.999
  public var gradientLimit: Float = 1
  /// Which checkpoint becomes the model: the `last`, as published, or the one that orders held-out
  /// comparisons `best`.
  public var keep = KeptCheckpoint.last
  /// Comparisons of the validation split that checkpoints are judged by, and of `test_unique` or `test`,
  /// where there is one, that evaluate the finished model.
  public var validationPairs = 500
  public var validationTimesteps = [1, 251, 501, 701, 951]
  /// The mean accuracy at those of these timesteps that lie below chooses the best checkpoint.
  public var selectionLimit = 1_000
  public var checkpointEvery = 500
  /// Of the matrices of the finished model; `f16` halves what stage `spo` needs for it.
  public var precision = WeightPrecision.f32

  public enum Kind: String, Codable, Sendable {
    /// Pictures, as the diffusion model estimates them from noise.
    case pixel
    /// Noised latents.
    case latent
  }

  public enum KeptCheckpoint: String, CaseIterable, Codable, Sendable {
    case last
    case best
  }

  public init() {}
}
