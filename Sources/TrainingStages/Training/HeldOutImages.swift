import Autograd
import Diffusion
import Files
import Imaging
import PipelineCore
import RandomStreams
import Shards
import StageSupport

/// Draws held-out prompts as the model stands, always from the same noise, to be looked at while it learns.
///
/// No step adds noise of its own, as in the published validation, whatever candidates are drawn with.
struct HeldOutImages {
  let shards: any ComparisonData
  /// The prompts are the first so many.
  let count: Int
  let scheduler: DDIMScheduler
  /// DDIM sampling steps.
  let steps: Int
  let seed: UInt64
  /// What training is counted in, for the files' names.
  let unit: String
  let folder: String

  private func path(_ number: Int) -> String {
    let digits = String(number)
    return "\(folder)/\(unit)-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
      + ".png"
  }

  /// Writes one image of each prompt, side by side.
  ///
  /// - Returns: the file's image
  func draw(
    _ unet: GuidedUNet, _ autoencoder: Autoencoder, negative: Conditioning, after number: Int
  ) throws -> RGBImage {
    var images: [RGBImage] = []
    // One at a time: memory must do for no more than training takes.
    for prompt in 0..<min(count, shards.promptCount) {
      images += try rgbImages(try image(of: prompt, unet, autoencoder, negative: negative))
    }
    let row = RGBImage(sideBySide: images)
    try Folders.make(folder)
    try AtomicFile.replace(path(number), with: try row.encodedAsPNG())
    return row
  }

  /// A decoded image of one prompt, `[1, height, width, 3]`.
  func image(
    of prompt: Int, _ unet: GuidedUNet, _ autoencoder: Autoencoder, negative: Conditioning
  ) throws -> Tensor {
    try autoencoder.images(of: try latents(of: prompt, unet, negative: negative))
  }

  /// The scaled latents of that image, `[1, height, width, channels]`.
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
