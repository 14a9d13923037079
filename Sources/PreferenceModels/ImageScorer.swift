public import Autograd
import Diffusion
public import NN
import TensorCore

/// The image half of a preference model, which scores images for prompts embedded by the other
/// half.
///
/// - Keys: those of `VisionTower`, `visual_projection`, `logit_scale`
public struct ImageScorer {
  public let configuration: PreferenceConfiguration
  private var visionTower: VisionTower
  private let visualProjection: Linear
  private let logitScale: Parameter

  /// - Parameter isTimeConditioned: false for CLIP as published, which is not conditioned on the
  ///   timestep
  public init(
    _ weights: Weights, _ configuration: PreferenceConfiguration, isTimeConditioned: Bool = true
  ) throws {
    self.configuration = configuration
    visionTower = try VisionTower(
      weights, configuration, isTimeConditioned: isTimeConditioned)
    let width = configuration.vision.width
    visualProjection = try Linear(
      weights["visual_projection"], inputs: width, outputs: configuration.projectionWidth,
      hasBias: false, initial: .normal(deviation: 1 / Float(width).squareRoot()))
    // ln(1 / 0.07), CLIP's initial value.
    logitScale = try weights.parameter("logit_scale", shape: [], initial: .constant(2.6592))
  }

  /// Whether the vision tower's layers are recomputed in the backward pass.
  var usesGradientCheckpointing: Bool {
    get { visionTower.encoder.usesGradientCheckpointing }
    set { visionTower.encoder.usesGradientCheckpointing = newValue }
  }

  /// Returns unit vectors of images, `[batch, projection width]`.
  ///
  /// - Parameters:
  ///   - pixels: `[batch, side, side, 3]` from `trainingPixels` or `scoringPixels`
  ///   - timesteps: one per image; nil for a tower without time conditioning
  public func embedding(of pixels: Tensor, timesteps: [Float]?) -> Tensor {
    let pooled = inHalfPrecision([pixels]) { visionTower($0[0], timesteps: timesteps) }
    return visualProjection(pooled).normalizedRows()
  }

  /// The factor between a cosine and a score.
  public var scale: Float {
    withoutGradients { logitScale.tensor.mapped(by: .exponential) }.values[0]
  }

  /// Returns the scores of images for prompts, row by row, `[batch]`.
  public func score(image: Tensor, text: Tensor) -> Tensor {
    let cosines = (image * text).sum(over: 1..<2)
    return cosines * logitScale.tensor.mapped(by: .exponential)
  }

  /// Returns the vision tower's input in training: resized to its square, clamped to 0...1,
  /// normalised.
  ///
  /// - Parameter image: `[batch, height, width, 3]` in 0...1
  public func trainingPixels(_ image: Tensor) -> Tensor {
    let side = configuration.imageSize
    return normalized(resizedBicubic(image, height: side, width: side))
  }

  /// Returns the vision tower's input for scoring candidates: the shorter edge resized,
  /// centre-cropped, clamped to 0...1, normalised.
  ///
  /// - Parameter image: `[batch, height, width, 3]` in -1...1, as decoded by the autoencoder
  public func scoringPixels(_ image: Tensor) -> Tensor {
    let side = configuration.imageSize
    let (height, width) = (image.shape[1], image.shape[2])
    let scale = Double(side) / Double(min(height, width))
    let newHeight = Int(Double(height) * scale + 0.5)
    let newWidth = Int(Double(width) * scale + 0.5)
    let resized = resizedBicubic(
      image.scaled(by: 0.5, adding: 0.5), height: newHeight, width: newWidth)
    let top = centredOffset(of: side, in: newHeight)
    let left = centredOffset(of: side, in: newWidth)
    return normalized(
      resized.slice(axis: 1, top..<top + side).slice(axis: 2, left..<left + side))
  }

  /// Returns half the margin, a half rounded to even, as in torchvision's centre crop.
  private func centredOffset(of side: Int, in length: Int) -> Int {
    Int((Double(length - side) / 2).rounded(.toNearestOrEven))
  }

  /// Normalises images of the tower's size in 0...1.
  public func normalized(_ image: Tensor) -> Tensor {
    let mean = Tensor(configuration.imageMean, shape: [3])
    let reciprocal = Tensor(configuration.imageDeviation.map { 1 / $0 }, shape: [3])
    return (image.clamped(to: 0...1) - mean) * reciprocal
  }
}
