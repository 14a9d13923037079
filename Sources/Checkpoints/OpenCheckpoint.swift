import Files

/// Opens the checkpoint at `path`, whatever its kind: an index of several files (by its name,
/// `….json`), a file of torch (by its first bytes), or a safetensors file.
///
/// - Throws: `CheckpointError`, `FileError` or `JSONError`.
public func openCheckpoint(_ path: String) throws -> any CheckpointSource {
  path.hasSuffix(".json")
    ? try ShardedCheckpoint(indexPath: path) : try openCheckpointFile(path)
}

/// Opens a file that is no index.
func openCheckpointFile(_ path: String) throws -> any CheckpointSource {
  let file = try RegularFile(path: path)
  let head = try file.read(at: 0, count: min(64, file.size))
  return TorchCheckpoint.begins(head)
    ? try TorchCheckpoint(path: path) : try SafetensorsFile(path: path)
}
