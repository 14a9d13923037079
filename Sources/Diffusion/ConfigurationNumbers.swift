public import Files

/// The valid ranges of numbers in a model's configuration.
///
/// Several times the values of any published model, yet small enough that no product of them
/// overflows when memory and work are counted.
public enum ConfigurationRange {
  /// Channels of images and latents.
  public static let channels = 1...1_024
  /// The width of hidden states.
  public static let width = 1...16_384
  /// The width within a feed-forward layer, or of several encoders' joined outputs.
  public static let innerWidth = 1...131_072
  /// The number of resolutions, each half of the previous one.
  public static let levels = 1...8
  public static let blockLayers = 1...32
  public static let transformerLayers = 1...64
  public static let encoderLayers = 0...256
  public static let heads = 1...1_024
  /// The side of an image in pixels, or of a latent.
  public static let side = 1...16_384
  public static let vocabulary = 1...4_194_304
  public static let tokens = 2...65_536
  /// The constant added to variances before division.
  public static let epsilon: ClosedRange<Float> = 1e-12...1
  public static let scalingFactor: ClosedRange<Float> = 1e-3...1e3
}

extension JSONReader {
  /// Reads an integer.
  public func size(
    _ key: String, default value: Int, in range: ClosedRange<Int>
  ) throws -> Int {
    try checked(key, try int(key, default: value), in: range)
  }

  /// Reads a truth value; null is false, as in Python.
  func flag(_ key: String, default value: Bool) throws -> Bool {
    self.value[key] == .null ? false : try bool(key, default: value)
  }

  /// Reads the number of groups of normalizations.
  ///
  /// - Throws: `ConfigurationError.unsupported` for null, which means no normalization
  func groupCount() throws -> Int {
    let key = "norm_num_groups"
    guard value[key] != .null else {
      throw ConfigurationError.unsupported(path: path, field: key, value: "null")
    }
    return try size(key, default: 32, in: ConfigurationRange.width)
  }

  /// Reads a list of integers, or one that applies to all `count`.
  func sizes(
    _ key: String, default value: [Int], count: Int? = nil, in range: ClosedRange<Int>
  ) throws -> [Int] {
    let given = try optional(key)
    var list = try given.map { try $0.value.array == nil ? [$0.int()] : $0.ints() } ?? value
    if given?.value.array == nil, list.count == 1, let count {
      list = [Int](repeating: list[0], count: count)
    }
    let counts = count.map { $0...$0 } ?? ConfigurationRange.levels
    guard counts.contains(list.count) else {
      throw ConfigurationError.wrongCount(
        path: path, field: key, expected: counts.text, found: list.count)
    }
    return try list.map { try checked(key, $0, in: range) }
  }

  /// Reads a number in single precision.
  public func number(
    _ key: String, default value: Double, in range: ClosedRange<Float>
  ) throws -> Float {
    let number = Float(try double(key, default: value))
    // False for NaN, too.
    guard range.contains(number) else {
      throw ConfigurationError.outOfRange(
        path: path, field: key, value: try optional(key)?.value.text() ?? "\(value)",
        range: "\(range.lowerBound) to \(range.upperBound)")
    }
    return number
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
  public func require(_ field: String, oneOf accepted: [JSON]) throws {
    guard let found = try optional(field), !accepted.contains(found.value) else { return }
    throw ConfigurationError.unsupported(path: path, field: field, value: found.value.text())
  }

  private func checked(_ key: String, _ number: Int, in range: ClosedRange<Int>) throws -> Int {
    guard range.contains(number) else {
      throw ConfigurationError.outOfRange(
        path: path, field: key, value: "\(number)", range: range.text)
    }
    return number
  }
}

extension ClosedRange<Int> {
  fileprivate var text: String {
    lowerBound == upperBound ? "\(lowerBound)" : "\(lowerBound) to \(upperBound)"
  }
}
