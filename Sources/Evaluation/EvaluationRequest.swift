public import Scorers

/// What is to be compared, on what, and by what.
public struct EvaluationRequest {
  public var model: EvaluatedModel
  /// What the model is compared with; nil where its scores alone are wanted.
  public var against: EvaluatedModel?
  public var prompts: PromptList
  /// Each kind once, with the folder or file of its weights.
  public var scorers: [(kind: ScorerKind, path: String)]
  /// Where everything goes.
  public var folder: String
  public var imagesPerPrompt = 1
  public var steps = 20
  public var eta: Float = 0
  /// Scales of classifier-free guidance, each evaluated by itself.
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

  /// Images of a prompt at most, so that no two of a list share a seed.
  public static let largestCount = 1_000

  /// The seed of an image's noise: that of `spo sample` for the same image.
  func seed(prompt: Int, image: Int) -> UInt64 {
    seed &+ UInt64(Self.largestCount * prompt + image)
  }

  /// The model, then what it is compared with.
  var sides: [EvaluatedModel] { [model] + (against.map { [$0] } ?? []) }
}
