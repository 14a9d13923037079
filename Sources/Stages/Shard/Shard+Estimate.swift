import Diffusion
import PipelineCore

extension Shard: Estimating {
  /// What all shards hold: latents of images and embeddings of prompts.
  private func byteCount(_ scale: PipelineScale) -> Int {
    let volume = scale.volume
    return volume.images * scale.latentByteCount + volume.prompts * scale.promptByteCount
      + volume.rows * ShardSource.pairByteCount
  }

  func memory(_ scale: PipelineScale) -> MemoryNeed {
    var need = MemoryNeed()
    // Collected piece by piece, then as the file has them.
    let shard = min(Int(settings.shardSizeMb * 1e6), byteCount(scale))
    need.add("one shard", bytes: 2 * shard)
    need.addPages(of: byteCount(scale))
    return need
  }

  func diskByteCount(_ scale: PipelineScale) -> Int { byteCount(scale) }

  /// To look an encoding or a pair up: measured.
  private static let secondsPerRow = 3e-5

  /// From the cache to a file, and once more to digest it, at what an ordinary disk bears.
  func seconds(_ scale: PipelineScale, _ times: ModelTimes) -> Double {
    let volume = scale.volume
    return Double(byteCount(scale)) / 100e6
      + Double(volume.images + volume.prompts + volume.rows) * Self.secondsPerRow
  }

  var savings: [String] { settings.shardSizeMb > 64 ? ["shard.shard_size_mb=64"] : [] }
}
