package import Checkpoints

extension CheckpointSource {
  /// The tensors below `prefix`, without it, where a file of torch keeps its weights beside other things
  /// of its training; the checkpoint itself where it has none.
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
