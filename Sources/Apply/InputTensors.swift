public import Autograd
public import Checkpoints
public import Files

/// The tensors of an input file, each checked when it is taken.
public final class InputTensors {
  private let checkpoint: any CheckpointSource
  private let prefix: String
  private var taken: Set<String> = []

  /// - Parameter prefix: only tensors whose names begin with it are inputs; it is cut off
  public init(_ checkpoint: any CheckpointSource, prefix: String = "") {
    self.checkpoint = checkpoint
    self.prefix = prefix
  }

  /// Floats in the file's layout, all finite.
  ///
  /// - Parameter shape: the extents expected, nil where any will do
  public func floats(_ name: String, shape: [Int?]) throws -> Tensor {
    let entry = try take(name, shape: shape)
    return Tensor(try checkpoint.finiteFloats(prefix + name), shape: entry.shape)
  }

  /// Images of the file's layout `[batch, channels, height, width]` as `[batch, height, width,
  /// channels]`.
  public func images(_ name: String, channels: Int? = nil, batch: Int? = nil) throws -> Tensor {
    try floats(name, shape: [batch, channels, nil, nil]).channelsLast()
  }

  /// Whole numbers, flat.
  public func integers(_ name: String, shape: [Int?]) throws -> [Int] {
    _ = try take(name, shape: shape)
    return try checkpoint.integers(prefix + name)
  }

  /// Rows of token ids, `[batch, tokens]`, each within the vocabulary.
  public func tokenIDs(_ name: String, limit tokens: Int, vocabulary: Int) throws -> [[Int]] {
    let entry = try take(name, shape: [nil, nil])
    let ids = try checkpoint.integers(prefix + name)
    let width = entry.shape[1]
    guard width >= 1, width <= tokens else {
      throw InputError.shapeMismatch(
        name: name, expected: "[batch, 1...\(tokens)]", found: entry.shape)
    }
    if let wrong = ids.first(where: { $0 < 0 || $0 >= vocabulary }) {
      throw InputError.outOfRange(name: name, value: "\(wrong)", range: "0..<\(vocabulary)")
    }
    return (0..<entry.shape[0]).map { Array(ids[$0 * width..<($0 + 1) * width]) }
  }

  /// Timesteps, one for each row, each within the schedule.
  public func timesteps(batch: Int, limit: Int = 1000) throws -> [Int] {
    let steps = try integers("timestep", shape: [batch])
    if let wrong = steps.first(where: { $0 < 0 || $0 >= limit }) {
      throw InputError.outOfRange(name: "timestep", value: "\(wrong)", range: "0..<\(limit)")
    }
    return steps
  }

  /// Numbers of a vector, one for each row, each within a range.
  public func numbers(
    _ name: String, batch: Int, in range: ClosedRange<Float>, _ text: String
  ) throws -> [Float] {
    let numbers = try floats(name, shape: [batch]).values
    if let wrong = numbers.first(where: { !range.contains($0) }) {
      throw InputError.outOfRange(name: name, value: "\(wrong)", range: text)
    }
    return numbers
  }

  /// Throws if the file holds tensors that were not taken.
  public func requireAllTaken() throws {
    let extra = checkpoint.entries.map(\.name).filter {
      $0.hasPrefix(prefix) && !taken.contains($0)
    }
    guard extra.isEmpty else { throw InputError.unexpected(names: extra) }
  }

  private func take(_ name: String, shape: [Int?]) throws -> TensorEntry {
    guard let entry = checkpoint.find(prefix + name) else {
      throw InputError.missing(name: name, present: checkpoint.entries.map(\.name))
    }
    let fits =
      entry.shape.count == shape.count
      && zip(entry.shape, shape).allSatisfy { found, expected in
        expected.map { $0 == found } ?? (found > 0)
      }
    guard fits else {
      let expected = shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
      throw InputError.shapeMismatch(name: name, expected: "[\(expected)]", found: entry.shape)
    }
    taken.insert(prefix + name)
    return entry
  }
}

/// A problem with the tensors of an input file.
public enum InputError: ClassifiedError, Equatable, CustomStringConvertible {
  case missing(name: String, present: [String])
  case unexpected(names: [String])
  case shapeMismatch(name: String, expected: String, found: [Int])
  case outOfRange(name: String, value: String, range: String)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .missing(let name, let present):
      "input \(name) is missing; the file has \(present.joined(separator: ", "))"
    case .unexpected(let names):
      "unexpected inputs: \(names.joined(separator: ", "))"
    case .shapeMismatch(let name, let expected, let found):
      "input \(name) has shape \(found), expected \(expected)"
    case .outOfRange(let name, let value, let range):
      "input \(name) contains \(value), expected \(range)"
    }
  }
}
