public import Files

/// What the numbers of a model's configuration may be.
///
/// Several times what any published model has, and little enough that no product of them overflows where
/// memory and work are counted.
public enum ConfigurationRange {
  /// Of images and latents.
  public static let channels = 1...1_024
  /// Of hidden states.
  public static let width = 1...16_384
  /// Within a feed-forward layer, or joined from several encoders.
  public static let innerWidth = 1...131_072
  /// Resolutions that a network halves its way through.
  public static let levels = 1...8
  public static let blockLayers = 1...32
  public static let transformerLayers = 1...64
  public static let encoderLayers = 0...256
  public static let heads = 1...1_024
  /// Pixels of an image's side, or places of a latent's.
  public static let side = 1...16_384
  public static let vocabulary = 1...4_194_304
  public static let tokens = 2...65_536
  /// Added to variances before they divide.
  public static let epsilon: ClosedRange<Float> = 1e-12...1
  public static let scalingFactor: ClosedRange<Float> = 1e-3...1e3
}

extension JSONReader {
  /// An integer.
  public func size(
    _ key: String, default value: Int, in range: ClosedRange<Int>
  ) throws -> Int {
    try checked(key, try int(key, default: value), in: range)
  }

  /// A list of integers, or one that stands for all `count`.
  func sizes(
    _ key: String, default value: [Int], count: Int? = nil, in range: ClosedRange<Int>
  ) throws -> [Int] {
    let given = try optional(key)
    var list = try given.map { try $0.value.array == nil ? [$0.int()] : $0.ints() } ?? value
    if list.count == 1, let count { list = [Int](repeating: list[0], count: count) }
    let counts = count.map { $0...$0 } ?? ConfigurationRange.levels
    guard counts.contains(list.count) else {
      throw ConfigurationError.wrongCount(
        path: path, field: key, expected: counts.text, found: list.count)
    }
    return try list.map { try checked(key, $0, in: range) }
  }

  /// A number in single precision.
  public func number(
    _ key: String, default value: Double, in range: ClosedRange<Float>
  ) throws -> Float {
    let number = Float(try double(key, default: value))
    // False for NaN too.
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
