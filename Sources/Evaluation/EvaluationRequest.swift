public import Scorers

/// The models, prompts and scorers of an evaluation.
public struct EvaluationRequest {
  public var model: EvaluatedModel
  /// The model to compare with; nil if only scores are wanted.
  public var against: EvaluatedModel?
  public var prompts: PromptList
  /// Each kind once, with the folder or file of its weights.
  public var scorers: [(kind: ScorerKind, path: String)]
  /// The output folder.
  public var folder: String
  public var imagesPerPrompt = 1
  public var steps = 20
  public var eta: Float = 0
  /// Scales of classifier-free guidance, evaluated separately.
  public var guidance: [Float] = [7.5]
  public var seed: UInt64 = 42

  public init(
    model: EvaluatedModel, against: EvaluatedModel?, prompts: PromptList,
    scorers: [(kind: ScorerKind, path: String)], folder: String
  ) {
    self.model = model
    self.against = against
    self.prompts = prompts
    self.scorers = scorers
    self.folder = folder
  }

  /// The maximum number of images per prompt, so that no two of a list share a seed.
  public static let largestCount = 1_000

  /// Returns the seed of an image's noise: that of `spo sample` for the same image.
  func seed(prompt: Int, image: Int) -> UInt64 {
    seed &+ UInt64(Self.largestCount * prompt + image)
  }

  /// The model, then the one that it is compared with.
  var sides: [EvaluatedModel] { [model] + (against.map { [$0] } ?? []) }
}
