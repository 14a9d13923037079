import Checkpoints
import Diffusion
import NN
import PreferenceModels

/// The preference model that candidates are judged by, as it will be.
enum JudgeParts {
  case pixel(PreferenceConfiguration)
  /// Made of a diffusion model's text encoders and the way down of its U-Net.
  case latent(LatentParts)

  struct LatentParts {
    let model: ModelParts
    /// Whether every latent goes through the U-Net twice.
    let hasGuidance: Bool

    var rows: Int { hasGuidance ? 2 : 1 }

    func encoderMemory() throws -> ForwardMemory {
      let side = model.latentSide
      return model.unet.encoderMemory(height: side, width: side, tokens: try model.tokens())
    }
  }

  var isLatent: Bool { if case .latent = self { true } else { false } }

  /// All numbers.
  func weightCount() throws -> Int {
    switch self {
    case .pixel(let configuration): return configuration.weightCount
    case .latent(let parts):
      let checkpoint = try parts.model.folder.checkpoint("unet", stem: "diffusion_pytorch_model")
      let encoder = WeightSize(of: checkpoint) { !UNetEncoder.isWayUp($0) }
      return try parts.model.textEncoders().reduce(encoder.count) { $0 + $1.size.count }
    }
  }

  /// Numbers of the half that only reads prompts, and that is let go of when it has.
  var promptWeightCount: Int {
    switch self {
    case .pixel(let configuration): configuration.promptWeightCount
    case .latent: 0
    }
  }

  /// Numbers of reading one prompt.
  var promptPassing: Int {
    switch self {
    case .pixel(let configuration):
      configuration.text.transformer.forwardMemory(tokens: configuration.text.tokens)
    case .latent: 0
    }
  }

  /// Numbers of judging one candidate.
  func passing() throws -> Int {
    switch self {
    case .pixel(let configuration):
      configuration.vision.forwardMemory(tokens: configuration.visionTokens)
    case .latent(let parts): try parts.encoderMemory().most * parts.rows
    }
  }

  /// What training on `pairs` at once keeps and works with.
  func training(pairs: Int, isCheckpointed: Bool) throws -> MemoryNeed.Pass {
    switch self {
    case .pixel(let configuration):
      let vision = configuration.vision.trainingMemory(
        tokens: configuration.visionTokens, isTimeConditioned: true)
      let text = configuration.text.transformer.trainingMemory(
        tokens: configuration.text.tokens, isTimeConditioned: false)
      let layer = 2 * vision / max(1, configuration.vision.layers)
      guard isCheckpointed else {
        // The gradients of one layer beside what all of them keep.
        return .init(kept: pairs * (2 * vision + text), working: pairs * layer)
      }
      let inputs =
        2 * configuration.vision.layerInputs(tokens: configuration.visionTokens)
        + configuration.text.transformer.layerInputs(tokens: configuration.text.tokens)
      // One layer that is run again, with its gradients.
      return .init(kept: pairs * inputs, working: pairs * 2 * layer)
    case .latent(let parts):
      let encoder = try parts.encoderMemory().training(isCheckpointed: isCheckpointed)
      let text = try parts.model.textEncoders().map(\.configuration).reduce(0) {
        $0 + $1.transformer.trainingMemory(tokens: $1.tokens, isTimeConditioned: false)
      }
      let rows = pairs * 2 * parts.rows
      return .init(kept: rows * encoder.kept + (pairs + 1) * text, working: rows * encoder.working)
    }
  }
}
