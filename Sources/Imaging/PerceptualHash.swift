/// A compact hash of an image's appearance: two images that differ by their size, slight noise or
/// compression have nearly the same hash.
public struct PerceptualHash: Equatable, Sendable {
  /// One bit for each pair of neighbours in rows of 9 x 8 grey values: whether the left one is
  /// brighter.
  public let bits: UInt64
  /// `[8, 8, 3]`, the mean colours of the image's parts.
  public let colors: [UInt8]

  private static let side = 8
  /// The number of bits that may differ; with more, edges are elsewhere.
  public static let bitLimit = 4
  /// The mean difference of the colours' samples that is tolerated.
  private static let colorLimit = 6

  public init(_ image: RGBImage) {
    let grey = image.resized(width: Self.side + 1, height: Self.side)
    var bits: UInt64 = 0
    for row in 0..<Self.side {
      for column in 0..<Self.side {
        let start = 3 * (row * (Self.side + 1) + column)
        let left = Self.luma(grey.pixels[start..<start + 3])
        let right = Self.luma(grey.pixels[start + 3..<start + 6])
        bits = bits << 1 | (left > right ? 1 : 0)
      }
    }
    self.bits = bits
    colors = image.resized(width: Self.side, height: Self.side).pixels
  }

  /// Whether the two look the same.
  public func isNear(_ other: PerceptualHash) -> Bool {
    guard (bits ^ other.bits).nonzeroBitCount <= Self.bitLimit else { return false }
    let difference = zip(colors, other.colors).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
    return difference <= Self.colorLimit * colors.count
  }

  /// Keys for finding near hashes, which share at least one of these.
  public var bands: [UInt64] {
    // One band more than the bits that may differ: 13, 13, 13, 13 and 12 bits, each with its index.
    (0..<UInt64(Self.bitLimit + 1)).map { band in
      band << 32 | (bits >> (13 * band)) & (1 << 13 - 1)
    }
  }

  /// Brightness by the usual weights of red, green and blue, times 1,000.
  private static func luma(_ pixel: ArraySlice<UInt8>) -> Int {
    zip([299, 587, 114], pixel).reduce(0) { $0 + $1.0 * Int($1.1) }
  }
}
