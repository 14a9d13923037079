public import Files

/// What is wrong with a model's configuration, beyond the shape of its JSON.
public enum ConfigurationError: ClassifiedError, Equatable, CustomStringConvertible {
  case unsupported(path: String, field: String, value: String)
  case indivisible(path: String, field: String, value: Int, by: String, divisor: Int)
  case outOfRange(path: String, field: String, value: Int, minimum: Int)
  case wrongCount(path: String, field: String, expected: Int, found: Int)
  /// Parts of one model that do not go together.
  case misfit(path: String, reason: String)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .unsupported(let path, let field, let value):
      "\(path): \(field) \(value) is not supported"
    case .indivisible(let path, let field, let value, let other, let divisor):
      "\(path): \(field) \(value) is not a multiple of \(other) \(divisor)"
    case .outOfRange(let path, let field, let value, let minimum):
      "\(path): \(field) is \(value), expected \(minimum) to \(maximumSize)"
    case .wrongCount(let path, let field, let expected, let found):
      "\(path): \(field) has \(found) entries, expected \(expected)"
    case .misfit(let path, let reason): "\(path): \(reason); are the parts of one model?"
    }
  }
}

/// No extent of a model is larger; products of a few such numbers cannot overflow.
private let maximumSize = 1 << 24

extension JSONReader {
  /// An extent or a count, checked to be within reason.
  public func size(_ key: String, default value: Int, atLeast minimum: Int = 1) throws -> Int {
    try checkedSize(key, try int(key, default: value), atLeast: minimum)
  }

  /// A list of extents, or one that stands for all `count`.
  func sizes(_ key: String, default value: [Int], count: Int? = nil) throws -> [Int] {
    let given = try optional(key)
    var list = try given.map { try $0.value.array == nil ? [$0.int()] : $0.ints() } ?? value
    if list.count == 1, let count { list = [Int](repeating: list[0], count: count) }
    guard !list.isEmpty, list.count == count ?? list.count else {
      throw ConfigurationError.wrongCount(
        path: path, field: key, expected: count ?? 1, found: list.count)
    }
    return try list.map { try checkedSize(key, $0, atLeast: 1) }
  }

  /// Checks that each of `values` is a multiple of `divisor`.
  func requireMultiples(
    _ field: String, _ values: [Int], of divisor: Int, _ divisorField: String
  ) throws {
    for value in values where value % divisor != 0 {
      throw ConfigurationError.indivisible(
        path: path, field: field, value: value, by: divisorField, divisor: divisor)
    }
  }

  /// Checks that a field is absent, null or one of `accepted`.
  func require(_ field: String, oneOf accepted: [JSON]) throws {
    guard let found = try optional(field), !accepted.contains(found.value) else { return }
    throw ConfigurationError.unsupported(path: path, field: field, value: found.value.text())
  }

  private func checkedSize(_ key: String, _ size: Int, atLeast minimum: Int) throws -> Int {
    guard size >= minimum, size <= maximumSize else {
      throw ConfigurationError.outOfRange(path: path, field: key, value: size, minimum: minimum)
    }
    return size
  }
}
