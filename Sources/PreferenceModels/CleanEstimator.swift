public import Autograd
public import Diffusion
import NN

/// Images for training the preference model: the diffusion model's one-step x0 prediction from a
/// noised latent, decoded.
///
///     x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon,  image = decode(estimate of x_0 from x_t)
///
/// - Source: Liang et al. 2024, arXiv 2406.04314, section 4.2
public struct CleanEstimator {
  public let unet: GuidedUNet
  public let autoencoder: Autoencoder
  public let schedule: NoiseSchedule
  public let prediction: PredictionType

  public init(
    unet: GuidedUNet, autoencoder: Autoencoder, schedule: NoiseSchedule,
    prediction: PredictionType
  ) {
    self.unet = unet
    self.autoencoder = autoencoder
    self.schedule = schedule
    self.prediction = prediction
  }

  /// Returns images `[batch, height, width, 3]` in 0...1.
  ///
  /// - Throws: `NonFiniteError`
  /// - Parameters:
  ///   - latents: clean, scaled latents, `[batch, height, width, channels]`
  ///   - noise: standard normal numbers of the same shape
  ///   - timesteps: one per row
  ///   - conditioning: the conditioning on the prompts, one row each
  ///   - negative: the conditioning on the empty prompt, one row for all
  public func callAsFunction(
    _ latents: Tensor, noise: Tensor, timesteps: [Int], conditioning: Conditioning,
    negative: Conditioning
  ) throws -> Tensor {
    try withoutGradients {
      let noisy = schedule.noised(latents, with: noise, timesteps: timesteps)
      let output = unet(
        noisy, timesteps: timesteps.map { Float($0) }, conditioning: conditioning,
        negative: negative)
      try output.requiringFinite("unet, timesteps \(Set(timesteps).sorted())")
      return try decoded(
        schedule.denoised(
          noisy, modelOutput: output, timesteps: timesteps, prediction: prediction))
    }
  }

  /// Decodes scaled latents to images in 0...1.
  public func decoded(_ latents: Tensor) throws -> Tensor {
    try withoutGradients {
      try autoencoder.images(of: latents).scaled(by: 0.5, adding: 0.5).clamped(to: 0...1)
    }
  }
}
