import Checkpoints
import Diffusion
import PipelineCore

extension ModelFolder {
  /// Rejects a rank above that of the layers.
  func require(rank: Int, of setting: String) throws {
    guard let width = leastAttentionWidth, rank > width else { return }
    throw PipelineError.badSetting(
      path: setting,
      reason:
        "must be at most \(width), the width of the narrowest attention layer of \(path), but "
        + "is \(rank)")
  }

  /// The smallest width of the layers that get a LoRA; nil if neither the weights nor a
  /// configuration can be read.
  private var leastAttentionWidth: Int? { storedAttentionWidth ?? configuredAttentionWidth }

  /// The same for a model that does not exist but is known.
  private var configuredAttentionWidth: Int? {
    guard let unet = try? UNetConfiguration(try configuration("unet")) else { return nil }
    let down = zip(unet.downBlocks, unet.channels)
    let up = zip(unet.upBlocks, unet.channels.reversed())
    let blocks = (Array(down) + Array(up)).filter { $0.0 == .crossAttention }.map(\.1)
    return (blocks + (unet.hasMiddleBlock ? unet.channels.suffix(1) : []) + [unet.contextWidth])
      .min()
  }

  private var storedAttentionWidth: Int? {
    guard Folders.exists(path),
      let checkpoint = try? checkpoint("unet", stem: "diffusion_pytorch_model")
    else { return nil }
    return checkpoint.entries.filter { entry in
      entry.shape.count >= 2
        && TunedUNet.targets.contains { entry.name.hasSuffix("\($0).weight") }
    }.flatMap { $0.shape.prefix(2) }.min()
  }
}
