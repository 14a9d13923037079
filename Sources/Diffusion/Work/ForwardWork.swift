/// Floating-point operations of a forward pass, a multiplication and an addition counting as two.
///
/// What the textbook's algorithms need; normalisations and activations are left out.
public struct ForwardWork: Equatable, Sendable {
  public private(set) var convolution = 0
  public private(set) var linear = 0
  public private(set) var attention = 0

  public var total: Int { convolution + linear + attention }

  init(_ operations: [NetworkOperation]) {
    for operation in operations {
      switch operation {
      case .convolution: convolution += operation.work
      case .linear: linear += operation.work
      case .attention: attention += operation.work
      case .elements: break
      }
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

extension UNetConfiguration {
  /// The work of one forward pass over latents of `height` x `width`.
  ///
  /// - Parameter tokens: hidden states of each prompt
  public func forwardWork(height: Int, width: Int, tokens: Int, batch: Int = 1) -> ForwardWork {
    ForwardWork(parts(height: height, width: width, tokens: tokens).flatMap(\.operations)) * batch
  }
}

extension AutoencoderConfiguration {
  /// The work of decoding latents of `height` x `width`.
  public func decodingWork(height: Int, width: Int, batch: Int = 1) -> ForwardWork {
    ForwardWork(decoderParts(height: height, width: width).flatMap(\.operations)) * batch
  }

  /// The work of encoding pictures of `height` x `width`, multiples of `reduction`.
  public func encodingWork(height: Int, width: Int, batch: Int = 1) -> ForwardWork {
    ForwardWork(encoderParts(height: height, width: width).flatMap(\.operations)) * batch
  }
}
