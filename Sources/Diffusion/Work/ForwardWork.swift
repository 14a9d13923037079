/// Floating-point operations of a forward pass, a multiplication and an addition counting as two.
///
/// What the textbook's algorithms need; normalisations and activations are left out.
public struct ForwardWork: Equatable, Sendable {
  public private(set) var convolution = 0
  public private(set) var linear = 0
  public private(set) var attention = 0

  public var total: Int { convolution + linear + attention }

  init() {}

  /// A convolution that gives `places` values of each of its output channels.
  mutating func addConvolution(places: Int, inputs: Int, outputs: Int, kernel: Int = 3) {
    convolution += 2 * places * inputs * outputs * kernel * kernel
  }

  mutating func addLinear(rows: Int, inputs: Int, outputs: Int) {
    linear += 2 * rows * inputs * outputs
  }

  /// Scores of every query with every key, and their sums over values; all heads together `width`.
  mutating func addAttention(queries: Int, keys: Int, width: Int) {
    attention += 4 * queries * keys * width
  }

  /// A residual block's convolutions.
  mutating func addResnet(places: Int, inputs: Int, outputs: Int) {
    addConvolution(places: places, inputs: inputs, outputs: outputs)
    addConvolution(places: places, inputs: outputs, outputs: outputs)
    if inputs != outputs {
      addConvolution(places: places, inputs: inputs, outputs: outputs, kernel: 1)
    }
  }

  static func * (work: ForwardWork, batch: Int) -> ForwardWork {
    var product = work
    product.convolution *= batch
    product.linear *= batch
    product.attention *= batch
    return product
  }
}
