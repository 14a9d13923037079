public import Files

/// An error in a folder of shards.
public enum ShardError: ClassifiedError, Equatable, CustomStringConvertible {
  /// The index or a shard breaks a rule of the format.
  case malformed(path: String, reason: String)
  /// The bytes of a shard differ from what was written.
  case damaged(path: String, expected: String, found: String)
  case newerVersion(path: String, version: Int)
  case unknownSplit(path: String, split: String, known: [String])

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .malformed(let path, let reason):
      "\(path): \(reason); write the shards again with --force shard"
    case .damaged(let path, let expected, let found):
      "\(path): damaged: its SHA-256 is \(found.prefix(12))…, but the index says "
        + "\(expected.prefix(12))…; delete the file and run again"
    case .newerVersion(let path, let version):
      "\(path): shards of version \(version), which is newer than this program; update it"
    case .unknownSplit(let path, let split, let known):
      "\(path): there are no shards of split \"\(split)\"; there are \(known.joined(separator: ", "))"
    }
  }
}
