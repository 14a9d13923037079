import Files
import PipelineCore
import StageSupport

/// What stages write one after the other, at its most: a result that is replaced stays until the new one is
/// complete, so that both are there for a while.
struct DiskPlan {
  /// Bytes that must be free before the first stage begins.
  private(set) var byteCount = 0
  private var largest: (stage: String, byteCount: Int)?
  private var replaced = 0

  /// - Parameters:
  ///   - stages: as the pipeline has them, with the settings that count
  ///   - cached: bytes of the cache, which its stages may find in part what they would write
  init(
    _ work: [PlannedWork], _ stages: [any Estimating], _ scale: PipelineScale, cached: Int
  ) throws {
    var cached = cached
    /// What the stages before have added.
    var added = 0
    for item in work {
      let name = type(of: item.stage).name
      guard let stage = stages.first(where: { type(of: $0).name == name }) else { continue }
      var new = max(0, try stage.diskByteCount(scale) - item.builtByteCount)
      if !type(of: stage).caches.isEmpty {
        let found = min(new, cached)
        new -= found
        cached -= found
      }
      byteCount = max(byteCount, added + new)
      added += new - item.replacedByteCount
      replaced += item.replacedByteCount
      if new > largest?.byteCount ?? 0 { largest = (name, new) }
    }
  }

  var description: String {
    let parts =
      (largest.map { ["most in \($0.stage): \(ByteCount.text($0.byteCount))"] } ?? [])
      + (replaced > 0
        ? ["old results of \(ByteCount.text(replaced)) are kept until the new ones are complete"]
        : [])
    return "the pipeline writes about \(ByteCount.text(byteCount))"
      + (parts.isEmpty ? "" : " (\(parts.joined(separator: "; ")))")
  }
}
