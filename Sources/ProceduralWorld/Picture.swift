import TensorCore

/// A picture of the procedural world: 64 x 64 pixels of red, green and blue, each in 0...1.
public struct Picture: Equatable, Sendable {
  /// Width and height in pixels.
  public static let side = 64
  /// Width and height in cells of 4 x 4 pixels: one cell is one place of the tiny model's latents.
  static let cellsPerSide = 16
  static let cellSide = 4
  static let pixelCount = side * side
  package static let cellCount = cellsPerSide * cellsPerSide

  /// `[64, 64, 3]`: rows from the top, pixels from the left, red, green, blue.
  public private(set) var values: [Float]

  /// The picture of `values`, `[64, 64, 3]`, which are brought into 0...1.
  public init(values: [Float]) {
    precondition(
      values.count == 3 * Self.pixelCount,
      "a picture has [64, 64, 3] = 12288 values, not \(values.count)")
    self.values = values.map(unit)
  }

  /// The picture of 8-bit values, `[64, 64, 3]`; nil for another number of them.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 3 * Self.pixelCount else { return nil }
    self.init(values: bytes.map { Float($0) / 255 })
  }

  /// The nearest 8-bit values, `[64, 64, 3]`.
  public var bytes: [UInt8] {
    values.withUnsafeBufferPointer {
      guard let bytes = quantized($0, rounding: .toNearestOrAwayFromZero) else {
        preconditionFailure("a picture's values are in 0...1")
      }
      return bytes
    }
  }

  /// Red, green and blue of a pixel, counted row by row.
  subscript(pixel: Int) -> SIMD3<Float> {
    get { [values[3 * pixel], values[3 * pixel + 1], values[3 * pixel + 2]] }
    set { for channel in 0..<3 { values[3 * pixel + channel] = newValue[channel] } }
  }

  /// The middles of all pixels, row by row.
  static let pixelCentres: [SIMD2<Float>] = (0..<pixelCount).map { index in
    [Float(index % side) + 0.5, Float(index / side) + 0.5]
  }

  /// The index of a pixel's cell, cells counted row by row.
  static func cell(ofPixel index: Int) -> Int {
    index / side / cellSide * cellsPerSide + index % side / cellSide
  }
}
