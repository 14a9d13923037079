public import Files
public import HostResources

/// Named arrays of floats that layers are built from: a checkpoint, or fresh random numbers.
public protocol WeightSource {
  /// The file, for messages; nil if there is none.
  var path: String? { get }

  /// Returns the extents of an array in the checkpoint's layout, or nil if there is none of that
  /// name.
  func shape(of name: String) -> [Int]?

  /// Throws if the numbers of the array `name` are of a type that cannot be read as floats.
  func requireFloats(_ name: String) throws

  /// Writes the array `name`, in the checkpoint's layout, to `destination`.
  func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws

  /// Returns the format of the numbers in the array `name`; nil unless in half precision.
  func halfFormat(of name: String) -> HalfFormat?

  /// Writes the array `name`, which is stored in half precision, as it is stored.
  func readHalf(_ name: String, into destination: UnsafeMutableBufferPointer<UInt16>) throws

  /// Every name the source holds.
  var names: [String] { get }
}

/// A mismatch between a model and its weights.
public enum WeightError: ClassifiedError, Equatable, CustomStringConvertible {
  case missing(path: String?, name: String, expected: [Int])
  case shapeMismatch(path: String?, name: String, expected: [Int], found: [Int])
  case unused(path: String?, names: [String])

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .missing(let path, let name, let expected):
      "\(Self.prefix(path))there is no tensor \(name) (shape \(expected)), but the configuration "
        + "requires it"
    case .shapeMismatch(let path, let name, let expected, let found):
      "\(Self.prefix(path))tensor \(name) has shape \(found), but the configuration requires "
        + "\(expected)"
    case .unused(let path, let names):
      Self.prefix(path) + (names.count == 1 ? "1 tensor belongs" : "\(names.count) tensors belong")
        + " to no layer of this configuration: "
        + names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", ..." : "")
    }
  }

  private static func prefix(_ path: String?) -> String { path.map { "\($0): " } ?? "" }
}
