import Autograd
import Catalog
import Diffusion
import Foundation
import Imaging
import NN

/// Encodes images to scaled latents, in half precision.
struct LatentEncoder {
  private let encoder: Encoder
  private let scale: Float
  private let size: Int
  private let hasLogVariance: Bool

  init(_ encoderIdentity: EncoderIdentity) throws {
    try self.init(
      encoderIdentity.model, size: encoderIdentity.size,
      hasLogVariance: encoderIdentity.hasLogVariance)
  }

  /// - Parameter size: the height and width of the images
  init(_ model: ModelFolder, size: Int, hasLogVariance: Bool) throws {
    let autoencoder = try model.autoencoder().model
    encoder = autoencoder.encoder
    scale = autoencoder.configuration.scalingFactor
    self.size = size
    self.hasLogVariance = hasLogVariance
  }

  /// Returns the part of an image that is encoded, `[size, size, 3]` in -1...1.
  func pixels(of bytes: [UInt8], limits: ImageLimits) throws(ImageError) -> [Float] {
    try RGBImage(decoding: bytes, limits: limits).resized(shorterEdge: size, limits: limits)
      .croppedToCenter(width: size, height: size).normalizedPixels()
  }

  /// Returns one value per image: the mean, or mean and log-variance, of the latent times the
  /// scale, `[channels, height, width]`; nil if a number is not finite in half precision.
  ///
  /// - Throws: `NonFiniteError` if one is not finite in single precision
  func callAsFunction(_ images: [[Float]]) throws -> [[UInt8]?] {
    let shape = [images.count, size, size, 3]
    let arrays = try moments(of: Tensor(images.flatMap { $0 }, shape: shape)).map(\.values)
    let count = arrays[0].count / images.count
    return images.indices.map { index in
      halfPrecision(arrays.flatMap { $0[index * count..<(index + 1) * count] })
    }
  }

  /// Returns the means, and log-variances if requested, of the scaled latents of `[batch, size,
  /// size, 3]`, `[batch, channels, height, width]` each.
  func moments(of images: Tensor) throws -> [Tensor] {
    try withoutGradients {
      let posterior = encoder(images)
      for moment in [posterior.mean, posterior.logVariance] {
        try moment.requiringFinite("vae, encoding")
      }
      var parts = [posterior.mean.scaled(by: scale)]
      // Var(s z) = s^2 Var(z)
      if hasLogVariance {
        parts.append(posterior.logVariance.scaled(by: 1, adding: 2 * log(scale)))
      }
      return parts.map { $0.channelsFirst() }
    }
  }
}

/// Encodes prompts to the U-Net's conditioning, in half precision.
struct EmbeddingEncoder {
  private let encoder: PromptEncoder

  init(_ encoderIdentity: EncoderIdentity) throws {
    encoder = try PromptEncoder(encoderIdentity.model)
  }

  /// Returns one value per prompt, `[tokens, width]` followed by the pooled text embedding if there
  /// is one; nil if a number is not finite.
  func callAsFunction(_ prompts: [String]) throws -> [[UInt8]?] {
    let output = try encoder(prompts)
    return prompts.indices.map { row in
      halfPrecision(
        [output.hiddenStates, output.pooledText].compactMap { $0 }.flatMap { tensor in
          tensor.slice(axis: 0, row..<row + 1).values
        })
    }
  }
}

/// The numbers as little-endian half-precision bytes, rounded to nearest; nil if one is not finite.
func halfPrecision(_ numbers: [Float]) -> [UInt8]? {
  let halves = numbers.map { Float16($0) }
  guard halves.allSatisfy(\.isFinite) else { return nil }
  return halves.withUnsafeBytes { [UInt8]($0) }
}
