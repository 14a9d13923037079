import Files

/// The declaration of a setting: its default, a one-sentence description and its valid values.
///
///     @Setting("Passes over the prompts.", in: 1...1_000) var epochs = 10
///
/// Every number has a range with both ends, because an unbounded value overflows or fills the
/// memory. Ranges apply to each element of a list; null needs an optional type.
@propertyWrapper
public struct Setting<Value: Codable & Sendable>: Codable, Sendable {
  public var wrappedValue: Value
  // Unused in a decoded value: only a type's defaults are queried for valid values.
  let sentence: String
  let limits: SettingLimits

  public init(wrappedValue: Value, _ sentence: String) {
    self.init(wrappedValue, sentence, .none)
  }

  /// A number within a range.
  public init(wrappedValue: Value, _ sentence: String, in range: ClosedRange<Double>) {
    self.init(wrappedValue, sentence, .range(.init(range)))
  }

  /// A number within a half-open range.
  public init(wrappedValue: Value, _ sentence: String, in range: Range<Double>) {
    self.init(wrappedValue, sentence, .range(.init(range)))
  }

  /// A number above `lower` and up to `upper`.
  public init(
    wrappedValue: Value, _ sentence: String, above lower: Double, upTo upper: Double
  ) {
    self.init(wrappedValue, sentence, .range(.init(above: lower, upTo: upper)))
  }

  /// A string of a certain form.
  public init(wrappedValue: Value, _ sentence: String, _ form: SettingLimits.TextForm) {
    self.init(wrappedValue, sentence, .text(form))
  }

  private init(_ value: Value, _ sentence: String, _ limits: SettingLimits) {
    wrappedValue = value
    self.sentence = sentence
    self.limits = limits
  }

  public init(from decoder: any Decoder) throws {
    self.init(try decoder.singleValueContainer().decode(Value.self), "", .none)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(wrappedValue)
  }
}

/// A ``Setting`` of any type.
protocol AnySetting {
  static var valueType: Any.Type { get }
  var sentence: String { get }
  var limits: SettingLimits { get }
  func json() throws -> JSON
}

extension Setting: AnySetting {
  static var valueType: Any.Type { Value.self }
  func json() throws -> JSON { try SettingsEncoder.json(wrappedValue) }
}
