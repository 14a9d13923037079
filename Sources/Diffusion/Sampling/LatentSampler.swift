public import Autograd
import NN
public import RandomStreams

/// Draws latents for many prompts at once by DDIM, each from a random stream of its own: what a prompt
/// gets does not depend on its company but for the last bits.
public struct LatentSampler {
  public let unet: GuidedUNet
  public let scheduler: DDIMScheduler
  public let stepCount: Int
  public let eta: Float

  public init(unet: GuidedUNet, scheduler: DDIMScheduler, stepCount: Int, eta: Float) {
    self.unet = unet
    self.scheduler = scheduler
    self.stepCount = stepCount
    self.eta = eta
  }

  /// Scaled latents, `[batch, height, width, channels]`.
  ///
  /// - Parameters:
  ///   - conditioning: of the prompts, one row for each
  ///   - negative: of the negative prompt, one row for all
  ///   - streams: one for each row
  ///   - latentShape: height, width, channels
  public func callAsFunction(
    conditioning: Conditioning, negative: Conditioning, streams: [RandomStream], latentShape: [Int]
  ) throws -> Tensor {
    var streams = streams
    let batch = streams.count
    func noise() -> Tensor {
      Tensor(rows: batch, of: latentShape) { streams[$0].fillNormal($1) }
    }
    return try withoutGradients {
      var latents = noise()
      for timestep in try scheduler.timesteps(stepCount: stepCount) {
        let output = unet(
          latents, timesteps: [Float](repeating: Float(timestep), count: batch),
          conditioning: conditioning, negative: negative)
        try output.requiringFinite("unet, timestep \(timestep)")
        let step = try scheduler.step(from: timestep, stepCount: stepCount, eta: eta)
        let transition = DDIMTransition(rows: [DDIMStep](repeating: step, count: batch))
        let mean = transition.mean(latents, modelOutput: output)
        latents = step.sigma > 0 ? transition.sample(mean: mean, noise: noise()) : mean
        try latents.requiringFinite("scheduler, timestep \(timestep)")
      }
      return latents
    }
  }
}
