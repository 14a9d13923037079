import Autograd
import Catalog
import Diffusion
import Foundation
import Imaging

/// Turns pictures into scaled latents, in half precision.
struct LatentEncoder {
  private let encoder: Encoder
  private let scale: Float
  private let size: Int
  private let hasLogVariance: Bool

  init(_ encodings: Encodings) throws {
    let autoencoder = try ModelFolder(path: encodings.modelPath).autoencoder().model
    encoder = autoencoder.encoder
    scale = autoencoder.configuration.scalingFactor
    size = encodings.size
    hasLogVariance = encodings.hasLogVariance
  }

  /// The part of a picture that is encoded, `[size, size, 3]` in -1...1.
  func pixels(of bytes: [UInt8], limits: ImageLimits) throws(ImageError) -> [Float] {
    try RGBImage(decoding: bytes, limits: limits).resized(shorterEdge: size, limits: limits)
      .croppedToCenter(width: size, height: size).normalizedPixels()
  }

  /// One value for each picture: the mean, or mean and log-variance, of the latent times the scale,
  /// `[channels, height, width]`; nil where a number is not finite in half precision.
  func callAsFunction(_ pictures: [[Float]]) -> [[UInt8]?] {
    withoutGradients {
      let posterior = encoder(
        Tensor(pictures.flatMap { $0 }, shape: [pictures.count, size, size, 3]))
      var parts = [posterior.mean.scaled(by: scale)]
      // Var(s z) = s^2 Var(z)
      if hasLogVariance {
        parts.append(posterior.logVariance.scaled(by: 1, adding: 2 * log(scale)))
      }
      let arrays = parts.map { $0.channelsFirst().values }
      let count = arrays[0].count / pictures.count
      return pictures.indices.map { index in
        halfPrecision(arrays.flatMap { $0[index * count..<(index + 1) * count] })
      }
    }
  }
}

/// Turns prompts into the hidden states that condition the U-Net, in half precision.
struct PromptEncoder {
  private let tokenizer: Tokenizer
  private let encoder: CLIPTextEncoder

  init(_ encodings: Encodings) throws {
    tokenizer = try Tokenizer(folder: "\(encodings.modelPath)/tokenizer")
    encoder = try ModelFolder(path: encodings.modelPath).textEncoder().model
  }

  /// One value for each prompt, `[tokens, width]`; nil where a number is not finite.
  func callAsFunction(_ prompts: [String]) throws -> [[UInt8]?] {
    let ids = try prompts.map { try tokenizer.encode($0) }
    let states = withoutGradients { encoder(ids).lastHiddenState.values }
    let count = states.count / prompts.count
    return prompts.indices.map { halfPrecision(Array(states[$0 * count..<($0 + 1) * count])) }
  }
}

/// The numbers as little-endian half-precision bytes, rounded to nearest; nil if one is not finite.
private func halfPrecision(_ numbers: [Float]) -> [UInt8]? {
  let halves = numbers.map { Float16($0) }
  guard halves.allSatisfy(\.isFinite) else { return nil }
  return halves.withUnsafeBytes { [UInt8]($0) }
}
