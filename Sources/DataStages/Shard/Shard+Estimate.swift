import Backends
import Diffusion
import PipelineCore
import StageSupport

extension Shard: Estimating {
  /// What all shards hold: latents of images and embeddings of prompts.
  private func byteCount(_ scale: PipelineScale) -> Int {
    let volume = scale.volume
    return volume.images * scale.latentByteCount + volume.prompts * scale.promptByteCount
      + volume.rows * ShardSource.pairByteCount
  }

  func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan {
    var plan = StagePlan(on: backend)
    let rowCounts = scale.volume.rowsBySplit.values
    let share = Double(rowCounts.max() ?? 1) / Double(max(1, rowCounts.reduce(0, +)))
    // No shard has several splits.
    let largest = Int(Double(byteCount(scale)) * share)
    plan.add("one shard", bytes: min(Int(settings.shardSizeMb * 1e6), largest))
    plan.addPages(ofDatabase: scale.cacheByteCount)
    // From the cache to a file, and once more to digest it, at what an ordinary disk bears.
    let rows = scale.volume.images + scale.volume.prompts + scale.volume.rows
    plan.add(seconds: Double(byteCount(scale)) / 100e6 + Double(rows) * Self.secondsPerRow)
    return plan
  }

  func diskByteCount(_ scale: PipelineScale) -> Int { byteCount(scale) }

  func itemCount(_ scale: PipelineScale) -> Int {
    Int((Double(byteCount(scale)) / (settings.shardSizeMb * 1e6)).rounded(.up))
  }

  /// To look an encoding or a pair up: measured.
  private static let secondsPerRow = 3e-5

  var savings: [String] { settings.shardSizeMb > 64 ? ["shard.shard_size_mb=64"] : [] }
}
