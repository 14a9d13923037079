import Diffusion
public import PipelineCore
import StepwiseOptimization

/// Settings of stage `spo`; the defaults are those published for Stable Diffusion v1.5.
public struct SPOSettings: StageSettings {
  /// The model to tune, a folder or a checkpoint file.
  public var model = ""
  /// A folder with the tokenizer, for a checkpoint file; null: the model's own.
  public var tokenizer: String?
  /// A trained preference model, step-aware or latent; null: the one that stage `preference` makes.
  ///
  /// A folder, or a file of weights with its configuration beside it. Stage `preference` is then not
  /// needed.
  public var preference: String?
  /// How large weights of the preference model are kept in memory: `as-stored`, or rounded as they are
  /// read to `f16` or `bf16`, which halves what a file of single precision takes.
  public var preferencePrecision = PreferencePrecision.asStored
  public var seed: UInt64 = 42
  public var epochs = 10
  /// Prompts of an epoch, of the training split; all of them if there are fewer.
  public var prompts = 4_000
  /// Take only prompts that come from a list of prompts.
  public var onlyListed = false
  /// Prompts of a sampling batch.
  public var batch = 10
  /// Prompts that are drawn together, for which memory must do.
  public var promptsAtOnce = 1
  /// Ends the run after this many sampling batches; 0 makes all epochs.
  public var iterations = 0
  public var samplingSteps = 20
  public var eta: Float = 1
  public var guidance: Float = 5
  /// Continuations drawn from each shared latent.
  public var candidates = 4
  /// The first sampling step whose candidates are compared.
  public var divertStep = 4
  /// The first sampling step, counted from 0, whose candidates are compared no more; nil: none.
  public var stopStep: Int?
  /// Steps that each candidate goes on alone before it is judged; published for SDXL: 3.
  public var innerSteps = 0
  /// A pair is kept if the preference probability of its best exceeds that of its worst by more.
  public var threshold = 0.3
  /// The same at the step that draws the most noise, where `threshold` is that of the least.
  ///
  /// Between them it is in proportion to the noise. Nil: one for all steps.
  public var highestThreshold: Double?
  /// Pairs of a training batch.
  public var pairBatch = 10
  /// Training batches that make one update together; published for SDXL: 2.
  ///
  /// What is left at the end of a sampling batch is carried over to the next.
  public var gradientAccumulation = 1
  /// Pairs whose gradients are computed at once; a batch is the sum of such parts.
  public var microBatch = 1
  /// Run the U-Net's blocks again in the backward pass: a third more time, little memory.
  public var gradientCheckpointing = false
  public var rank = 4
  public var beta: Float = 10
  public var clip: Float = 0.1
  public var learningRate: Float = 6e-5
  public var weightDecay: Float = 1e-4
  /// The joint norm that gradients are scaled down to; null: they are left as they are, as published.
  public var gradientLimit: Float?
  /// The timestep that a latent preference model is told of a candidate: the one that it was drawn from,
  /// `source`, as published, or that of the noise in it, `drawn`.
  public var judgedTimestep = JudgedTimestep.source
  /// Held-out prompts to draw before the first batch, after each epoch and at the end.
  public var pictures = 4
  /// Sampling batches between checkpoints.
  public var checkpointEvery = 10

  public enum PreferencePrecision: String, CaseIterable, Codable, Sendable {
    case asStored = "as-stored"
    case f16
    case bf16

    /// Nil: the file's own.
    var narrowing: WeightPrecision? { WeightPrecision(rawValue: rawValue) }
  }

  public enum JudgedTimestep: String, CaseIterable, Codable, Sendable {
    case drawn
    case source
  }

  public init() {}

  var base: ModelFolder { ModelFolder(path: model, tokenizer: tokenizer) }

  /// The sampling steps whose candidates are compared.
  var comparedSteps: Range<Int> {
    let end = min(stopStep ?? samplingSteps, samplingSteps)
    return min(max(0, divertStep), end)..<end
  }

  /// How candidates are drawn and compared.
  func sampling(promptsAtOnce: Int, seed: UInt64) -> CandidateSamplingSettings {
    CandidateSamplingSettings(
      steps: samplingSteps, eta: eta, candidates: candidates, comparedSteps: comparedSteps,
      innerSteps: innerSteps,
      thresholds: threshold...max(threshold, highestThreshold ?? threshold),
      promptsAtOnce: promptsAtOnce, seed: seed)
  }
}
