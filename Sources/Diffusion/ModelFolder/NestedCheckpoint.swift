package import Checkpoints

extension CheckpointSource {
  /// Returns the tensors below `prefix`, without it, for torch files that store weights among other
  /// training state; the checkpoint itself if there are none.
  package func nested(below prefix: String) throws -> any CheckpointSource {
    let weights = entries.map(\.name).filter { $0.hasPrefix(prefix) }
    guard !weights.isEmpty else { return self }
    return try RenamedCheckpoint(
      self,
      Dictionary(
        uniqueKeysWithValues: weights.map {
          (String($0.dropFirst(prefix.count)), RenamedCheckpoint.Origin(name: $0))
        }))
  }
}
