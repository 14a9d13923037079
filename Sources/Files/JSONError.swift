/// An error in the syntax or the contents of a JSON text.
public enum JSONError: ClassifiedError, Equatable, CustomStringConvertible {
  /// A syntax error; lines and columns count from 1, columns in characters (scalars).
  case syntax(source: String, line: Int, column: Int, problem: String)
  /// An object lacks a key; `present` are the keys that it has.
  case missing(path: String, present: [String])
  /// The value at `path` is not of the expected kind.
  case unexpected(path: String, expected: String, found: String)
  /// The file exceeds its reader's limit.
  case tooLarge(source: String, size: Int, limit: Int)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .syntax(let source, let line, let column, let problem):
      "\(source):\(line):\(column): \(problem)"
    case .missing(let path, let present):
      "\(path) is missing; found: \(present.isEmpty ? "no keys" : present.joined(separator: ", "))"
    case .unexpected(let path, let expected, let found):
      "\(path) must be \(expected), but is \(found)"
    case .tooLarge(let source, let size, let limit):
      "\(source): \(size) bytes, more than the \(limit) allowed"
    }
  }
}

extension JSONError {
  static let duplicateKey = "duplicate key "
  static let isTooLarge = " is too large"

  /// Whether one value is at fault, a number that is too large or a key that comes twice, and the syntax before it is
  /// in order.
  package var isOfOneValue: Bool {
    guard case .syntax(_, _, _, let problem) = self else { return false }
    return problem.hasPrefix(Self.duplicateKey) || problem.hasSuffix(Self.isTooLarge)
  }
}
