/// A value as SQLite stores it.
public enum SQLValue: Equatable, Sendable {
  case null
  case integer(Int64)
  case real(Double)
  case text(String)
  case blob([UInt8])

  var typeName: String {
    switch self {
    case .null: "NULL"
    case .integer: "an integer"
    case .real: "a real number"
    case .text: "a text"
    case .blob: "a blob"
    }
  }
}

/// A Swift type that a column can store.
public protocol SQLConvertible {
  static var expectedTypeName: String { get }
  var sqlValue: SQLValue { get }
  /// Nil if the value is of another type.
  init?(_ value: SQLValue)
}

extension Int: SQLConvertible {
  public static var expectedTypeName: String { "an integer" }
  public var sqlValue: SQLValue { .integer(Int64(self)) }
  public init?(_ value: SQLValue) {
    guard case .integer(let number) = value else { return nil }
    self.init(exactly: number)
  }
}

extension Bool: SQLConvertible {
  public static var expectedTypeName: String { "0 or 1" }
  public var sqlValue: SQLValue { .integer(self ? 1 : 0) }
  public init?(_ value: SQLValue) {
    switch value {
    case .integer(0): self = false
    case .integer(1): self = true
    default: return nil
    }
  }
}

extension Double: SQLConvertible {
  public static var expectedTypeName: String { "a real number" }
  public var sqlValue: SQLValue { .real(self) }
  public init?(_ value: SQLValue) {
    guard case .real(let number) = value else { return nil }
    self = number
  }
}

extension String: SQLConvertible {
  public static var expectedTypeName: String { "a text" }
  public var sqlValue: SQLValue { .text(self) }
  public init?(_ value: SQLValue) {
    guard case .text(let text) = value else { return nil }
    self = text
  }
}

extension [UInt8]: SQLConvertible {
  public static var expectedTypeName: String { "a blob" }
  public var sqlValue: SQLValue { .blob(self) }
  public init?(_ value: SQLValue) {
    guard case .blob(let bytes) = value else { return nil }
    self = bytes
  }
}

extension Optional: SQLConvertible where Wrapped: SQLConvertible {
  public static var expectedTypeName: String { "\(Wrapped.expectedTypeName) or NULL" }
  public var sqlValue: SQLValue { if let self { self.sqlValue } else { .null } }
  public init?(_ value: SQLValue) {
    if case .null = value {
      self = .none
    } else if let wrapped = Wrapped(value) {
      self = .some(wrapped)
    } else {
      return nil
    }
  }
}
