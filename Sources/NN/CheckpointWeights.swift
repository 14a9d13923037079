public import Checkpoints
public import Files
public import HostResources
import TensorCore

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

  public var path: String? { checkpoint.path }
  public var names: [String] { stored.keys.sorted() }

  public func shape(of name: String) -> [Int]? {
    stored[name].flatMap { checkpoint.find($0)?.shape }
  }

  public func requireFloats(_ name: String) throws {
    try checkpoint.requireFloats(stored[name] ?? name)
  }

  /// - Throws: `NonFiniteTensorError` if a number is NaN or infinite; what reading throws
  public func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
    let name = stored[name] ?? name
    try checkpoint.readFloats(name, into: destination)
    guard let start = destination.baseAddress,
      let position = firstNonFinite(start, count: destination.count)
    else { return }
    throw checkpoint.nonFinite(name, position, isNaN: destination[position].isNaN)
  }

  public func halfFormat(of name: String) -> HalfFormat? {
    switch stored[name].flatMap({ checkpoint.find($0)?.type }) {
    case .f16: .binary16
    case .bf16: .bfloat16
    default: nil
    }
  }

  /// - Throws: `NonFiniteTensorError` if a number is NaN or infinite; what reading throws
  public func readHalf(
    _ name: String, into destination: UnsafeMutableBufferPointer<UInt16>
  ) throws {
    let bytes = UnsafeMutableRawBufferPointer(destination)
    let entry = try checkpoint.entry(stored[name] ?? name)
    guard entry.byteCount == bytes.count else {
      throw CheckpointError.wrongSize(
        path: checkpoint.path, tensor: entry.name, expected: entry.elementCount,
        found: destination.count)
    }
    try checkpoint.read(entry.name, from: 0, into: bytes)
    guard let format = halfFormat(of: name), let start = destination.baseAddress,
      let position = firstNonFinite(start, count: destination.count, format: format)
    else { return }
    let infinity: UInt16 = format == .binary16 ? 0x7C00 : 0x7F80
    throw checkpoint.nonFinite(
      entry.name, position, isNaN: destination[position] & 0x7FFF != infinity)
  }
}

/// Two entries of one file that stand for the same weight.
public enum CheckpointWeightsError: ClassifiedError, Equatable, CustomStringConvertible {
  case ambiguous(path: String, String, String)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .ambiguous(let path, let one, let other):
      "\(path): \(one) and \(other) are two names of one weight"
    }
  }
}
