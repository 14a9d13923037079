import TensorCore

/// An image of the procedural world: 128 x 128 pixels of red, green and blue, each in 0...1.
///
/// Lengths and positions in the world are in units, a 64th of the side, from the top left corner, y down.
public struct WorldImage: Equatable, Sendable {
  /// Width and height in pixels.
  public static let side = 128
  /// Width and height in units.
  static let unitsPerSide: Float = 64
  static let pixelsPerUnit = Float(side) / unitsPerSide
  /// Width and height in cells: one cell is one place of the tiny model's latents.
  package static let cellsPerSide = 16
  /// Width and height of a cell in pixels.
  package static let cellSide = side / cellsPerSide
  static let pixelCount = side * side
  package static let cellCount = cellsPerSide * cellsPerSide

  /// `[side, side, 3]`: rows from the top, pixels from the left, red, green, blue.
  public private(set) var values: [Float]

  /// The image of `values`, `[side, side, 3]`, which are brought into 0...1.
  public init(values: [Float]) {
    precondition(
      values.count == 3 * Self.pixelCount,
      "an image has [\(Self.side), \(Self.side), 3] = \(3 * Self.pixelCount) values, "
        + "not \(values.count)")
    self.values = values.map(unit)
  }

  /// The image of 8-bit values, `[side, side, 3]`; nil for another number of them.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 3 * Self.pixelCount else { return nil }
    self.init(values: bytes.map { Float($0) / 255 })
  }

  /// The nearest 8-bit values, `[side, side, 3]`.
  public var bytes: [UInt8] {
    values.withUnsafeBufferPointer {
      guard let bytes = quantized($0, rounding: .toNearestOrAwayFromZero) else {
        preconditionFailure("an image's values are in 0...1")
      }
      return bytes
    }
  }

  /// Red, green and blue of a pixel, counted row by row.
  subscript(pixel: Int) -> SIMD3<Float> {
    get { [values[3 * pixel], values[3 * pixel + 1], values[3 * pixel + 2]] }
    set { for channel in 0..<3 { values[3 * pixel + channel] = newValue[channel] } }
  }

  /// The middles of all pixels, in units, row by row.
  static let pixelCentres: [SIMD2<Float>] = (0..<pixelCount).map { index in
    [Float(index % side) + 0.5, Float(index / side) + 0.5] / pixelsPerUnit
  }

  /// The index of a pixel's cell, cells counted row by row.
  static func cell(ofPixel index: Int) -> Int {
    index / side / cellSide * cellsPerSide + index % side / cellSide
  }
}
