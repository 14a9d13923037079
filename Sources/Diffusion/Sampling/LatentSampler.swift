public import Autograd
import NN
public import RandomStreams

/// Samples latents for a batch of prompts by DDIM, each from its own random stream: a prompt's
/// latent depends on the rest of the batch only in its last bits.
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

  /// Returns scaled latents, `[batch, height, width, channels]`.
  ///
  /// - Parameters:
  ///   - conditioning: the conditioning on the prompts, one row each
  ///   - negative: the conditioning on the negative prompt, one row for all
  ///   - streams: one per row
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
