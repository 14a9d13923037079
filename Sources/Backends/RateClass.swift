import Foundation
import TensorCore

/// Operations that take about the same time for the same work: a kind, and extents rounded to a few.
public struct RateClass: Hashable, Sendable, CustomStringConvertible {
  enum Kind: String, CaseIterable, Sendable {
    // By bytes.
    case movement
    case widening
    case activation
    case normalization
    // By floating-point operations.
    case product
    case halfProduct = "half-product"
    case leftTransposedProduct = "left-transposed-product"
    case rightTransposedProduct = "right-transposed-product"
    case rightTransposedHalfProduct = "right-transposed-half-product"
    case convolution
    case upsamplingConvolution = "upsampling-convolution"
    case convolutionInputGradient = "convolution-input-gradient"
    case convolutionWeightGradient = "convolution-weight-gradient"
    case attention
    case attentionGradient = "attention-gradient"
  }

  let kind: Kind
  let extents: [Int]
  /// Whether what does far more belongs to it, too.
  let standsForLarger: Bool

  /// Floating-point operations of the largest classes; what does more is halved until it does not.
  private static let (largestProduct, largestConvolution, largestAttention) = (5e8, 2e9, 1e9)

  public var description: String {
    ([kind.rawValue] + extents.map(String.init)).joined(separator: " ")
  }

  /// So many times as many rows, images or heads.
  func scaled(by count: Int) -> RateClass {
    RateClass(
      kind: kind, extents: [extents[0] * count] + extents.dropFirst(),
      standsForLarger: standsForLarger)
  }

  private init(kind: Kind, extents: [Int], standsForLarger: Bool) {
    self.kind = kind
    self.extents = extents
    self.standsForLarger = standsForLarger
  }

  /// Halves the largest of some extents until what `flop` says of them is at most `limit`.
  ///
  /// - Parameter fixed: further extents
  private init(
    _ kind: Kind, _ extents: [Int], fixed: [Int] = [], limit: Double,
    _ flop: ([Double]) -> Double
  ) {
    var extents = extents
    func work() -> Double { flop(extents.map(Double.init)) }
    while work() > limit,
      let largest = extents.indices.max(by: { extents[$0] < extents[$1] }), extents[largest] > 1
    {
      extents[largest] /= 2
    }
    self.init(kind: kind, extents: extents + fixed, standsForLarger: work() > limit / 8)
  }

  /// Of what memory limits, by the bytes it touches.
  init(_ kind: Kind, byteCount: Int) {
    // Powers of four; larger ones than caches hold are alike.
    let bits = Int.bitWidth - max(1, byteCount).leadingZeroBitCount
    self.init(
      kind: kind, extents: [1 << min(24, max(8, bits / 2 * 2))], standsForLarger: false)
  }

  /// Of a product `[rows, inner] [inner, columns]`.
  init(_ product: MatrixProduct) {
    let isHalf = product.right.values.storage.format != .single
    let kind: Kind =
      if product.left.isTransposed {
        .leftTransposedProduct
      } else if product.right.isTransposed {
        isHalf ? .rightTransposedHalfProduct : .rightTransposedProduct
      } else {
        isHalf ? .halfProduct : .product
      }
    self.init(
      kind,
      [Self.roundedRows(product.rows), Self.rounded(product.inner), Self.rounded(product.columns)],
      limit: Self.largestProduct
    ) { 2 * $0.reduce(1, *) }
  }

  init(_ kind: Kind, _ shape: ConvolutionShape) {
    let side = Int(Double(shape.outputHeight * shape.outputWidth).squareRoot())
    let kernel = shape.kernelHeight
    let channels = [shape.inputChannels, shape.outputChannels].map { min(512, Self.rounded($0)) }
    self.init(
      kind, [Self.roundedRows(shape.batch), Self.rounded(side)],
      fixed: channels + [kernel, shape.stride], limit: Self.largestConvolution
    ) {
      2 * $0[0] * $0[1] * $0[1] * Double(channels[0] * channels[1] * kernel * kernel)
    }
  }

  init(_ kind: Kind, _ shape: AttentionShape) {
    let (keys, width) = (min(4_096, Self.rounded(shape.keyCount)), Self.rounded(shape.headWidth))
    var (heads, queries) = (
      Self.roundedRows(shape.batch * shape.heads), Self.rounded(shape.queryCount)
    )
    func flop() -> Double { Double(4 * heads * queries * keys * width) }
    // Heads first: queries share what is done for the keys of their head.
    while flop() > Self.largestAttention, heads > 4 || queries > 64 {
      if heads > 4 { heads /= 2 } else { queries /= 2 }
    }
    self.init(
      kind: kind, extents: [heads, queries, keys, width],
      standsForLarger: flop() > Self.largestAttention / 8)
  }

  /// The nearest of 1, 2, 3, 4, 6, 8, 12, 16, ...
  private static func rounded(_ number: Int) -> Int {
    var power = 1
    while 2 * power <= number { power *= 2 }
    let share = Double(number) / Double(power)
    if share < 1.22 || power == 1 { return power }
    return share < 1.73 ? power / 2 * 3 : 2 * power
  }

  /// The nearest of 1, 4, 16, ...: with many or very many, times are in proportion.
  private static func roundedRows(_ number: Int) -> Int {
    var power = 1
    while 2 * power < number { power *= 4 }
    return power
  }
}
