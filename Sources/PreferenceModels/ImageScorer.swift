public import Autograd
import Diffusion
public import NN
import TensorCore

/// The half of a preference model that looks at images, and scores them for prompts that the other
/// half has read.
///
/// - Keys: those of `VisionTower`, `visual_projection`, `logit_scale`
public struct ImageScorer {
  public let configuration: PreferenceConfiguration
  private var visionTower: VisionTower
  private let visualProjection: Linear
  private let logitScale: Parameter

  /// - Parameter isTimeConditioned: false for CLIP as published, which is not conditioned on the timestep
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
    // ln(1 / 0.07), CLIP's own start.
    logitScale = try weights.parameter("logit_scale", shape: [], initial: .constant(2.6592))
  }

  /// Whether the vision tower's layers are run again in the backward pass.
  var usesGradientCheckpointing: Bool {
    get { visionTower.encoder.usesGradientCheckpointing }
    set { visionTower.encoder.usesGradientCheckpointing = newValue }
  }

  /// Unit vectors of images, `[batch, projection width]`.
  ///
  /// - Parameters:
  ///   - pixels: `[batch, side, side, 3]` as `trainingPixels` or `scoringPixels` give them
  ///   - timesteps: one for each image; nil for a tower that is not conditioned on any
  public func embedding(of pixels: Tensor, timesteps: [Float]?) -> Tensor {
    let pooled = inHalfPrecision([pixels]) { visionTower($0[0], timesteps: timesteps) }
    return visualProjection(pooled).normalizedRows()
  }

  /// What a cosine is multiplied with to become a score.
  public var scale: Float {
    withoutGradients { logitScale.tensor.mapped(by: .exponential) }.values[0]
  }

  /// The scores of images for prompts, row by row, `[batch]`.
  public func score(image: Tensor, text: Tensor) -> Tensor {
    let cosines = (image * text).sum(over: 1..<2)
    return cosines * logitScale.tensor.mapped(by: .exponential)
  }

  /// What the vision tower is shown in training: resized to its square, limited to 0...1, normalised.
  ///
  /// - Parameter image: `[batch, height, width, 3]` in 0...1
  public func trainingPixels(_ image: Tensor) -> Tensor {
    let side = configuration.imageSize
    return normalized(resizedBicubic(image, height: side, width: side))
  }

  /// What the vision tower is shown when candidates are scored: the shorter edge resized, the
  /// centre cut out, limited to 0...1, normalised.
  ///
  /// - Parameter image: `[batch, height, width, 3]` in -1...1, as the autoencoder decodes it
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

  /// Half the margin, a half rounded to even, as torchvision's centre crop has it.
  private func centredOffset(of side: Int, in length: Int) -> Int {
    Int((Double(length - side) / 2).rounded(.toNearestOrEven))
  }

  /// Images of the tower's size in 0...1, as the tower takes them.
  public func normalized(_ image: Tensor) -> Tensor {
    let mean = Tensor(configuration.imageMean, shape: [3])
    let reciprocal = Tensor(configuration.imageDeviation.map { 1 / $0 }, shape: [3])
    return (image.clamped(to: 0...1) - mean) * reciprocal
  }
}
