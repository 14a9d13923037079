import Files

/// Opens the checkpoint at `path`, whatever its kind: an index of several files (by its name,
/// `….json`), a file of torch (by its first bytes, those of a zip archive), or a safetensors file.
///
/// - Throws: `CheckpointError`, `FileError` or `JSONError`.
public func openCheckpoint(_ path: String) throws -> any CheckpointSource {
  path.hasSuffix(".json")
    ? try ShardedCheckpoint(indexPath: path) : try openCheckpointFile(path)
}

/// Opens a file that is no index.
func openCheckpointFile(_ path: String) throws -> any CheckpointSource {
  let file = try RegularFile(path: path)
  let beginning = try file.read(at: 0, count: min(4, file.size))
  return beginning == [0x50, 0x4B, 3, 4]
    ? try TorchCheckpoint(path: path) : try SafetensorsFile(path: path)
}
