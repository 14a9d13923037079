import Files

/// Opens the checkpoint at `path`, whatever its kind: an index of several safetensors files (by its
/// name, `….json`), a file of torch (by its first bytes, those of a zip archive), or a safetensors
/// file.
///
/// - Throws: `CheckpointError`, `FileError` or `JSONError`.
public func openCheckpoint(_ path: String) throws -> any CheckpointSource {
  if path.hasSuffix(".json") { return try ShardedCheckpoint(indexPath: path) }
  let file = try RegularFile(path: path)
  let beginning = try file.read(at: 0, count: min(4, file.size))
  return beginning == [0x50, 0x4B, 3, 4]
    ? try TorchCheckpoint(path: path) : try SafetensorsFile(path: path)
}
