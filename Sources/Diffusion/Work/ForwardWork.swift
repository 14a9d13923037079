/// Floating-point operations of a forward pass, a multiplication and an addition counting as two.
///
/// What the textbook's algorithms need. Normalisations, activations and sums are not among them; the
/// numbers that these go through are counted apart.
public struct ForwardWork: Equatable, Sendable {
  public private(set) var convolution = 0
  public private(set) var linear = 0
  public private(set) var attention = 0
  /// Numbers that pass through a normalisation, an activation or a sum.
  public fileprivate(set) var elements = 0

  public var total: Int { convolution + linear + attention }

  public init() {}

  init(_ parts: [NetworkPart]) { for part in parts { add(part) } }

  public mutating func addLinear(rows: Int, inputs: Int, outputs: Int) {
    linear += 2 * rows * inputs * outputs
  }

  /// Scores of every query with every key, and their sums over values; all heads together `width`.
  public mutating func addAttention(queries: Int, keys: Int, width: Int) {
    attention += 4 * queries * keys * width
  }

  /// A convolution that gives `places` values of each of its output channels.
  private mutating func addConvolution(places: Int, inputs: Int, outputs: Int, kernel: Int = 3) {
    convolution += 2 * places * inputs * outputs * kernel * kernel
  }

  mutating func add(_ part: NetworkPart) {
    let (places, inputs, outputs) = (part.places, part.inputs, part.outputs)
    switch part.kind {
    case .convolution(let kernel):
      addConvolution(places: places, inputs: inputs, outputs: outputs, kernel: kernel)
    case .linear:
      addLinear(rows: places, inputs: inputs, outputs: outputs)
    case .resnet(let timeWidth):
      addConvolution(places: places, inputs: inputs, outputs: outputs)
      addConvolution(places: places, inputs: outputs, outputs: outputs)
      if inputs != outputs {
        addConvolution(places: places, inputs: inputs, outputs: outputs, kernel: 1)
      }
      // Both norms, the timestep, the sum, and the joining.
      elements += places * (inputs + 4 * outputs + (part.isJoined ? inputs : 0))
      if let timeWidth { addLinear(rows: 1, inputs: timeWidth, outputs: outputs) }
    case .attention:
      addLinear(rows: places, inputs: inputs, outputs: 4 * inputs)
      addAttention(queries: places, keys: places, width: inputs)
      elements += 2 * places * inputs
    case .transformer(let layers, let tokens, let contextWidth):
      // Into and out of the blocks: convolutions in the first models, linear in later ones.
      addConvolution(places: places, inputs: inputs, outputs: 2 * inputs, kernel: 1)
      // Outside the layers a norm and a sum; in each three of both, and the gates.
      elements += places * inputs * (2 + layers * 14)
      for _ in 0..<layers {
        addLinear(rows: places, inputs: inputs, outputs: 4 * inputs)
        addAttention(queries: places, keys: places, width: inputs)
        addLinear(rows: places, inputs: inputs, outputs: 2 * inputs)
        addLinear(rows: tokens, inputs: contextWidth, outputs: 2 * inputs)
        addAttention(queries: places, keys: tokens, width: inputs)
        addLinear(rows: places, inputs: inputs, outputs: 12 * inputs)  // 8 out, 4 back
      }
    }
  }

  public static func + (a: ForwardWork, b: ForwardWork) -> ForwardWork {
    var sum = a
    sum.convolution += b.convolution
    sum.linear += b.linear
    sum.attention += b.attention
    sum.elements += b.elements
    return sum
  }

  public static func * (work: ForwardWork, batch: Int) -> ForwardWork {
    var product = work
    product.convolution *= batch
    product.linear *= batch
    product.attention *= batch
    product.elements *= batch
    return product
  }
}

extension UNetConfiguration {
  /// The work of one forward pass over latents of `height` x `width`.
  ///
  /// - Parameter tokens: hidden states of each prompt
  public func forwardWork(height: Int, width: Int, tokens: Int, batch: Int = 1) -> ForwardWork {
    ForwardWork(parts(height: height, width: width, tokens: tokens)) * batch
  }
}

extension AutoencoderConfiguration {
  /// The work of decoding latents of `height` x `width`.
  public func decodingWork(height: Int, width: Int, batch: Int = 1) -> ForwardWork {
    ForwardWork(decoderParts(height: height, width: width)) * batch
  }

  /// The work of encoding pictures of `height` x `width`, multiples of `reduction`.
  public func encodingWork(height: Int, width: Int, batch: Int = 1) -> ForwardWork {
    ForwardWork(encoderParts(height: height, width: width)) * batch
  }
}

extension CLIPTransformerConfiguration {
  /// The work of one forward pass over `tokens`.
  ///
  /// - Parameter isTimeConditioned: whether each layer is modulated by a timestep
  public func forwardWork(tokens: Int, isTimeConditioned: Bool = false) -> ForwardWork {
    var work = ForwardWork()
    for _ in 0..<layers {
      work.addLinear(rows: tokens, inputs: width, outputs: 4 * width + 2 * feedForwardWidth)
      work.addAttention(queries: tokens, keys: tokens, width: width)
      work.elements += tokens * (4 * width + feedForwardWidth)
      if isTimeConditioned {
        work.addLinear(rows: 1, inputs: width, outputs: 6 * width)
        work.elements += tokens * 6 * width
      }
    }
    return work
  }
}
