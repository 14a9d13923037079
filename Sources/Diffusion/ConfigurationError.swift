public import Files

/// A problem in a model's configuration, beyond the structure of its JSON.
public enum ConfigurationError: ClassifiedError, Equatable, CustomStringConvertible {
  case unsupported(path: String, field: String, value: String)
  case indivisible(path: String, field: String, value: Int, by: String, divisor: Int)
  case outOfRange(path: String, field: String, value: String, range: String)
  case wrongCount(path: String, field: String, expected: String, found: Int)
  /// Incompatible parts of one model, or incompatible numbers of one part.
  case misfit(path: String, reason: String)

  /// Numbers in range that would need more memory than any machine has.
  case tooLarge(path: String, reason: String)

  public var kind: FailureKind { if case .tooLarge = self { .space } else { .input } }

  public var description: String {
    switch self {
    case .unsupported(let path, let field, let value):
      "\(path): \(field) \(value) is not supported"
    case .indivisible(let path, let field, let value, let other, let divisor):
      "\(path): \(field) \(value) is not a multiple of \(other) \(divisor)"
    case .outOfRange(let path, let field, let value, let range):
      "\(path): \(field) is \(value), expected \(range)"
    case .wrongCount(let path, let field, let expected, let found):
      "\(path): \(field) has \(found) entries, expected \(expected)"
    case .misfit(let path, let reason), .tooLarge(let path, let reason): "\(path): \(reason)"
    }
  }
}
