/// Floating-point operations of a pass, a multiplication and an addition counting as two.
///
/// What the textbook's algorithms need; normalisations and activations are left out.
public struct ForwardWork: Equatable, Sendable {
  public fileprivate(set) var convolution = 0
  public fileprivate(set) var linear = 0
  public fileprivate(set) var attention = 0

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

extension UNetConfiguration {
  /// The work of a forward pass, and of the gradients of adapters on every projection of attention.
  ///
  /// Gradients pass back as far as the first transformer. A product with a frozen weight takes as much
  /// again for its input's, attention twice as much for those of queries, keys and values, and a product
  /// with an adapter's matrix for the matrix's and its input's. Those of the prompt and of the timestep
  /// are not wanted; what is computed again to save memory does not count.
  public func adapterTrainingWork(
    height: Int, width: Int, tokens: Int, rank: Int, batch: Int = 1
  ) -> ForwardWork {
    let parts = parts(height: height, width: width, tokens: tokens)
    var work = ForwardWork(parts.flatMap(\.operations))
    for part in parts.drop(while: { !$0.isTransformer }) {
      let forward = ForwardWork(part.operations)
      work.convolution += forward.convolution
      work.linear += forward.linear - part.workOfConditioning + 3 * part.adapterWork(rank: rank)
      work.attention += 2 * forward.attention
    }
    return work * batch
  }
}

extension NetworkPart {
  fileprivate var isTransformer: Bool { if case .transformer = kind { true } else { false } }

  /// Of products that take in the prompt or the timestep alone.
  fileprivate var workOfConditioning: Int {
    switch kind {
    case .resnet(let timeWidth): 2 * (timeWidth ?? 0) * outputs
    case .transformer(let layers, let tokens, let contextWidth, _):
      layers * 2 * 2 * tokens * contextWidth * inputs
    case .convolution, .attention, .linear: 0
    }
  }

  /// Of both products of every adapter, forward.
  fileprivate func adapterWork(rank: Int) -> Int {
    guard case .transformer(let layers, let tokens, let contextWidth, _) = kind else { return 0 }
    let ofPlaces = 6 * places * 2 * inputs
    let ofPrompt = 2 * tokens * (contextWidth + inputs)
    return layers * 2 * rank * (ofPlaces + ofPrompt)
  }
}

extension CLIPTransformerConfiguration {
  /// The work of one forward pass over `tokens`.
  ///
  /// - Parameter isTimeConditioned: whether each layer is modulated by a timestep
  public func forwardWork(
    tokens: Int, isTimeConditioned: Bool = false, batch: Int = 1
  ) -> ForwardWork {
    ForwardWork(operations(tokens: tokens, isTimeConditioned: isTimeConditioned)) * batch
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
