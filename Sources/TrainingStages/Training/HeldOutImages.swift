import Autograd
import Diffusion
import Files
import Imaging
import PipelineCore
import RandomStreams
import Shards
import StageSupport

/// Generates images of held-out prompts during training, always from the same noise.
///
/// Sampling is deterministic, as in the published validation, whatever candidates are sampled with.
struct HeldOutImages {
  let shards: any ComparisonData
  /// The number of prompts, starting with the first.
  let count: Int
  let scheduler: DDIMScheduler
  /// The number of DDIM sampling steps.
  let steps: Int
  let seed: UInt64
  /// The unit of training progress, for file names.
  let unit: String
  let folder: String

  private func path(_ number: Int) -> String {
    let digits = String(number)
    return "\(folder)/\(unit)-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
      + ".png"
  }

  /// Writes one image per prompt, side by side.
  ///
  /// - Returns: the file's image
  func draw(
    _ unet: GuidedUNet, _ autoencoder: Autoencoder, negative: Conditioning, after number: Int
  ) throws -> RGBImage {
    var images: [RGBImage] = []
    // One at a time, to need no more memory than training.
    for prompt in 0..<min(count, shards.promptCount) {
      images += try rgbImages(try image(of: prompt, unet, autoencoder, negative: negative))
    }
    let row = RGBImage(sideBySide: images)
    try Folders.make(folder)
    try AtomicFile.replace(path(number), with: try row.encodedAsPNG())
    return row
  }

  /// Returns a decoded image of one prompt, `[1, height, width, 3]`.
  func image(
    of prompt: Int, _ unet: GuidedUNet, _ autoencoder: Autoencoder, negative: Conditioning
  ) throws -> Tensor {
    try autoencoder.images(of: try latents(of: prompt, unet, negative: negative))
  }

  /// Returns the scaled latents of that image, `[1, height, width, channels]`.
  func latents(of prompt: Int, _ unet: GuidedUNet, negative: Conditioning) throws -> Tensor {
    let layout = shards.layout
    let sampler = LatentSampler(
      unet: unet, scheduler: scheduler, stepCount: steps, eta: 0)
    return try sampler(
      conditioning: try shards.conditioning(ofPrompts: [prompt]), negative: negative,
      streams: [RandomStream(seed: seed, purpose: "spo.picture", item: UInt64(prompt))],
      latentShape: [layout.latentHeight, layout.latentWidth, layout.latentChannels])
  }
}
