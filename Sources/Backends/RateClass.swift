import Foundation
import TensorCore

/// Operations that take about the same time for the same work: a kind, and extents rounded to a few.
public struct RateClass: Hashable, Sendable, CustomStringConvertible {
  enum Kind: String, CaseIterable, Sendable {
    // By bytes.
    case movement
    case activation
    case activationGradient = "activation-gradient"
    case gatedGELU = "gated-gelu"
    case gatedGELUGradient = "gated-gelu-gradient"
    case layerNorm = "layer-norm"
    case layerNormGradient = "layer-norm-gradient"
    case groupNorm = "group-norm"
    case groupNormGradient = "group-norm-gradient"
    case adamW = "adamw"
    case widening
    case resampling
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

  /// Floating-point operations of the largest classes; what does more is halved until it does not.
  private static let (largestProduct, largestConvolution, largestAttention) = (5e8, 2e9, 1e9)

  public var description: String {
    ([kind.rawValue] + extents.map(String.init)).joined(separator: " ")
  }

  private init(_ kind: Kind, extents: [Int]) {
    self.kind = kind
    self.extents = extents
  }

  /// So many times as many rows, images or heads.
  func times(_ count: Int) -> RateClass {
    RateClass(kind, extents: [extents[0] * count] + extents.dropFirst())
  }

  /// Whether what does far more belongs to it, too.
  var standsForLarger: Bool {
    func flop(_ factors: [Int]) -> Double { factors.reduce(2) { $0 * Double($1) } }
    switch kind {
    case .product, .halfProduct, .leftTransposedProduct, .rightTransposedProduct,
      .rightTransposedHalfProduct:
      return flop(extents) > Self.largestProduct / 4
    case .convolution, .upsamplingConvolution, .convolutionInputGradient,
      .convolutionWeightGradient:
      let (side, kernel) = (extents[1], extents[4])
      return flop([extents[0], side, side, extents[2], extents[3], kernel, kernel])
        > Self.largestConvolution / 8
    case .attention, .attentionGradient:
      return flop(extents + [2]) > Self.largestAttention / 4
    case .movement, .activation, .activationGradient, .gatedGELU, .gatedGELUGradient, .layerNorm,
      .layerNormGradient, .groupNorm, .groupNormGradient, .adamW, .widening, .resampling:
      return false
    }
  }

  /// Of what memory limits, by the bytes it touches.
  init(_ kind: Kind, byteCount: Int) {
    self.kind = kind
    // Powers of four; larger ones than caches hold are alike.
    let bits = Int.bitWidth - max(1, byteCount).leadingZeroBitCount
    extents = [1 << min(24, max(8, bits / 2 * 2))]
  }

  /// Of a product `[rows, inner] [inner, columns]`.
  init(_ product: MatrixProduct) {
    let isHalf = product.right.values.storage.format != .single
    kind =
      if product.left.isTransposed {
        .leftTransposedProduct
      } else if product.right.isTransposed {
        isHalf ? .rightTransposedHalfProduct : .rightTransposedProduct
      } else {
        isHalf ? .halfProduct : .product
      }
    extents = Self.limited(
      [Self.roundedRows(product.rows), Self.rounded(product.inner), Self.rounded(product.columns)],
      to: Self.largestProduct
    ) { 2 * $0.reduce(1, *) }
  }

  init(_ kind: Kind, _ shape: ConvolutionShape) {
    self.kind = kind
    let side = Int(Double(shape.outputHeight * shape.outputWidth).squareRoot())
    let kernel = shape.kernelHeight
    let channels = [shape.inputChannels, shape.outputChannels].map { min(512, Self.rounded($0)) }
    let limited = Self.limited(
      [Self.roundedRows(shape.batch), Self.rounded(side)], to: Self.largestConvolution
    ) {
      2 * $0[0] * $0[1] * $0[1] * Double(channels[0] * channels[1] * kernel * kernel)
    }
    extents = limited + channels + [kernel, shape.stride]
  }

  init(_ kind: Kind, _ shape: AttentionShape) {
    self.kind = kind
    let (keys, width) = (min(4_096, Self.rounded(shape.keyCount)), Self.rounded(shape.headWidth))
    var (heads, queries) = (
      Self.roundedRows(shape.batch * shape.heads), Self.rounded(shape.queryCount)
    )
    // A few heads do for all: many queries share what is done for keys.
    while Double(4 * heads * queries * keys * width) > Self.largestAttention,
      heads > 4 || queries > 64
    {
      if heads > 4 { heads /= 2 } else { queries /= 2 }
    }
    extents = [heads, queries, keys, width]
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

  /// Halves the largest extent until what `work` says is at most `limit`.
  private static func limited(
    _ extents: [Int], to limit: Double, _ work: ([Double]) -> Double
  ) -> [Int] {
    var extents = extents
    while work(extents.map(Double.init)) > limit,
      let largest = extents.indices.max(by: { extents[$0] < extents[$1] }), extents[largest] > 1
    {
      extents[largest] = max(1, extents[largest] / 2)
    }
    return extents
  }
}
