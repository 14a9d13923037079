/// A JSON value with its path, read key by key with errors that name both.
///
///     let config = try JSONReader(contentsOf: "unet/config.json")
///     let channels = try config.int("in_channels", default: 4)
///     let widths = try config.ints("block_out_channels")
///     let text = try config["text_config"].int("hidden_size")
///
/// A key whose value is `null` counts as absent.
public struct JSONReader: Sendable {
  public let value: JSON
  /// The location of the value, such as `unet/config.json: text_config.layers[2]`.
  public let path: String
  private let isRoot: Bool

  /// - Parameter path: the value's name in errors, usually a file's path.
  public init(_ value: JSON, path: String) {
    self.init(value, path: path, isRoot: true)
  }

  /// Reads the file at `path`, which must contain an object.
  public init(contentsOf path: String, dialect: JSONDialect = .json) throws {
    self.init(try JSON(contentsOf: path, dialect: dialect), path: path)
    _ = try object()
  }

  private init(_ value: JSON, path: String, isRoot: Bool) {
    self.value = value
    self.path = path
    self.isRoot = isRoot
  }

  // MARK: - Members

  /// The required member `key`.
  public subscript(key: String) -> JSONReader {
    get throws(JSONError) {
      if let member = try optional(key) { return member }
      throw .missing(path: pathOfMember(key), present: try object().keys)
    }
  }

  /// The member `key`; nil if it is absent or `null`.
  public func optional(_ key: String) throws(JSONError) -> JSONReader? {
    guard let member = try object()[key], member != .null else { return nil }
    return JSONReader(member, path: pathOfMember(key), isRoot: false)
  }

  public func int(_ key: String) throws(JSONError) -> Int { try self[key].int() }
  public func double(_ key: String) throws(JSONError) -> Double { try self[key].double() }
  public func bool(_ key: String) throws(JSONError) -> Bool { try self[key].bool() }
  public func string(_ key: String) throws(JSONError) -> String { try self[key].string() }
  public func ints(_ key: String) throws(JSONError) -> [Int] { try self[key].ints() }
  public func strings(_ key: String) throws(JSONError) -> [String] { try self[key].strings() }

  public func int(_ key: String, default fallback: Int) throws(JSONError) -> Int {
    try optional(key)?.int() ?? fallback
  }

  public func double(_ key: String, default fallback: Double) throws(JSONError) -> Double {
    try optional(key)?.double() ?? fallback
  }

  public func bool(_ key: String, default fallback: Bool) throws(JSONError) -> Bool {
    try optional(key)?.bool() ?? fallback
  }

  public func string(_ key: String, default fallback: String) throws(JSONError) -> String {
    try optional(key)?.string() ?? fallback
  }

  public func ints(_ key: String, default fallback: [Int]) throws(JSONError) -> [Int] {
    try optional(key)?.ints() ?? fallback
  }

  public func strings(_ key: String, default fallback: [String]) throws(JSONError) -> [String] {
    try optional(key)?.strings() ?? fallback
  }

  // MARK: - The value itself

  public func int() throws(JSONError) -> Int { try required(value.int, "an integer") }
  public func double() throws(JSONError) -> Double { try required(value.double, "a number") }
  public func bool() throws(JSONError) -> Bool { try required(value.bool, "true or false") }
  public func string() throws(JSONError) -> String { try required(value.string, "a string") }
  public func object() throws(JSONError) -> JSON.Object { try required(value.object, "an object") }

  /// The elements of an array, each with its path.
  public func elements() throws(JSONError) -> [JSONReader] {
    try required(value.array, "an array").enumerated().map {
      JSONReader($1, path: "\(path)[\($0)]", isRoot: false)
    }
  }

  /// The members of an object in their order, each with its path.
  public func members() throws(JSONError) -> [(key: String, value: JSONReader)] {
    try object().map { ($0, JSONReader($1, path: pathOfMember($0), isRoot: false)) }
  }

  public func ints() throws(JSONError) -> [Int] {
    try elements().map { (element) throws(JSONError) in try element.int() }
  }

  public func strings() throws(JSONError) -> [String] {
    try elements().map { (element) throws(JSONError) in try element.string() }
  }

  /// Returns an error that the value is unexpected; `expected` completes "must be …".
  public func unexpected(expected: String) -> JSONError {
    .unexpected(path: path, expected: expected, found: found)
  }

  private func required<Value>(_ value: Value?, _ expected: String) throws(JSONError) -> Value {
    guard let value else { throw unexpected(expected: expected) }
    return value
  }

  private func pathOfMember(_ key: String) -> String { path + (isRoot ? ": " : ".") + key }

  private var found: String {
    switch value {
    case .array, .object: value.kind
    default: String(value.text().prefix(60))
    }
  }
}
