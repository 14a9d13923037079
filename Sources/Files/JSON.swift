/// A JSON value.
///
/// Integers stay integers: `integer` holds every integer of `Int`, `unsigned` only those above
/// (seeds up to 2^64 - 1), so equal numbers are equal values. Numbers written with a fraction or an
/// exponent, minus zero, and integers beyond 64 bits that a `Double` holds exactly are `number`.
public enum JSON: Equatable, Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  case unsigned(UInt64)
  case number(Double)
  case string(String)
  case array([JSON])
  case object(Object)

  /// Creates the integer `value`, as `integer` if it fits.
  public init(_ value: UInt64) {
    self = Int(exactly: value).map { .integer($0) } ?? .unsigned(value)
  }

  /// The member `key` of an object; nil if there is none.
  public subscript(key: String) -> JSON? {
    guard case .object(let object) = self else { return nil }
    return object[key]
  }

  /// The element at `index` of an array; nil if there is none.
  public subscript(index: Int) -> JSON? {
    guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
    return elements[index]
  }

  /// The value as an integer; nil if it is not one or exceeds `Int`.
  public var int: Int? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int(exactly: value)
    default: nil
    }
  }

  public var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .unsigned(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
  public var object: Object? { if case .object(let value) = self { value } else { nil } }

  /// The kind of value in words, for messages.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer, .unsigned: "an integer"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

// MARK: - Objects

extension JSON {
  /// The members of a JSON object in the order they were written, each key once.
  ///
  /// Keys are compared bytewise, not by Unicode's canonical equivalence as in `String`:
  /// vocabularies contain both spellings of a letter.
  public struct Object: Sendable, Sequence {
    public private(set) var keys: [String] = []
    public private(set) var values: [JSON] = []
    private var positions = KeyTable()

    public init() {}

    public var count: Int { keys.count }
    public var isEmpty: Bool { keys.isEmpty }

    /// The member `key`; nil if there is none.
    ///
    /// Setting a value keeps the member's position or appends it; setting nil removes it.
    public subscript(key: String) -> JSON? {
      get { position(of: key).map { values[$0] } }
      set {
        switch (position(of: key), newValue) {
        case (let position?, let value?): values[position] = value
        case (let position?, nil): remove(at: position)
        case (nil, let value?): append(key, value)
        case (nil, nil): break
        }
      }
    }

    public func makeIterator() -> Zip2Sequence<[String], [JSON]>.Iterator {
      zip(keys, values).makeIterator()
    }

    /// Appends a member; returns false without any effect if its key exists.
    @discardableResult
    mutating func append(_ key: String, _ value: JSON) -> Bool {
      guard positions.insert(key, keys) else { return false }
      keys.append(key)
      values.append(value)
      return true
    }

    func position(of key: String) -> Int? { positions.find(key, keys) }

    private mutating func remove(at position: Int) {
      let rest = zip(keys, values).enumerated().filter { $0.offset != position }.map(\.element)
      self = Self()
      for (key, value) in rest { append(key, value) }
    }
  }
}

extension JSON.Object: Equatable {
  /// Equal members in equal order.
  public static func == (a: JSON.Object, b: JSON.Object) -> Bool {
    a.keys.elementsEqual(b.keys) { $0.utf8.elementsEqual($1.utf8) } && a.values == b.values
  }
}

// MARK: - Literals

extension JSON: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(nilLiteral: ()) { self = .null }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }

  public init(dictionaryLiteral members: (String, JSON)...) {
    var object = Object()
    for (key, value) in members {
      precondition(object.append(key, value), "key \(key) twice in an object literal")
    }
    self = .object(object)
  }
}
