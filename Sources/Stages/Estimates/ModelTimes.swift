import Diffusion
import PreferenceModels

/// How long the parts of a pipeline's models take here, measured: for one latent, picture or prompt.
struct ModelTimes {
  /// With guidance.
  private(set) var unet: ForwardTime?
  private(set) var encoding: ForwardTime?
  private(set) var decoding: ForwardTime?
  private(set) var text: ForwardTime?
  /// Of the preference model, for one candidate and for one prompt.
  private(set) var judging: ForwardTime?
  private(set) var judgedText: ForwardTime?

  init() {}

  /// Takes a second for small models and some for large ones.
  init(_ model: ModelParts?, _ judge: JudgeParts?) throws {
    if let model {
      let side = model.latentSide
      unet = model.unet.guidedTime(height: side, width: side, tokens: try model.tokens())
      encoding = model.autoencoder.encodingTime(
        height: model.pictureSide, width: model.pictureSide)
      decoding = model.autoencoder.decodingTime(height: side, width: side)
      text = try model.textEncoders().map(\.configuration).map {
        $0.transformer.forwardTime(tokens: $0.tokens)
      }.reduce(nil) { sum, time in sum.map { $0 + time } ?? time }
    }
    switch judge {
    case nil: break
    case .pixel(let configuration):
      judging = configuration.vision.forwardTime(
        tokens: configuration.visionTokens, isTimeConditioned: true)
      judgedText = configuration.text.transformer.forwardTime(tokens: configuration.text.tokens)
    case .latent(let parts):
      let side = parts.model.latentSide
      judging = parts.model.unet.encoderTime(
        height: side, width: side, tokens: try parts.model.tokens(),
        hasGuidance: parts.hasGuidance)
      judgedText = text
    }
  }
}

extension ForwardTime? {
  /// 0 where there is nothing to compute.
  var seconds: Double { self?.seconds ?? 0 }

  func trainingSeconds(trainsWeights: Bool) -> Double {
    self?.trainingSeconds(trainsWeights: trainsWeights) ?? 0
  }
}
