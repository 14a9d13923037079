public import Checkpoints

/// The weights of a checkpoint under the names that layers ask for.
public struct CheckpointWeights: WeightSource {
  private let checkpoint: any CheckpointSource
  /// From the names that layers ask for to those in the file.
  private let stored: [String: String]

  /// - Parameter rename: from a name in the file to the one that layers ask for, nil for entries
  ///   that are no weights
  public init(_ checkpoint: any CheckpointSource, rename: (String) -> String? = { $0 }) throws {
    self.checkpoint = checkpoint
    var stored: [String: String] = [:]
    for entry in checkpoint.entries {
      guard let name = rename(entry.name) else { continue }
      if let other = stored.updateValue(entry.name, forKey: name) {
        throw CheckpointWeightsError.ambiguous(path: checkpoint.path, entry.name, other)
      }
    }
    self.stored = stored
  }

  public var names: [String] { stored.keys.sorted() }

  public func shape(of name: String) -> [Int]? {
    stored[name].flatMap { checkpoint.find($0)?.shape }
  }

  public func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
    try checkpoint.readFloats(stored[name] ?? name, into: destination)
  }
}

/// Two entries of one file that stand for the same weight.
public enum CheckpointWeightsError: Error, Equatable, CustomStringConvertible {
  case ambiguous(path: String, String, String)

  public var description: String {
    switch self {
    case .ambiguous(let path, let one, let other):
      "\(path): \(one) and \(other) are two spellings of one weight"
    }
  }
}
