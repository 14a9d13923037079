/// Numbers that a forward pass of one row holds in memory, besides the weights.
///
/// Counted from what the layers make and what their gradient rules keep. Left out: what kernels use
/// meanwhile, and what the row's input and output take.
public struct ForwardMemory: Equatable, Sendable {
  /// The most at one time where nothing is kept for a backward pass.
  public private(set) var most = 0
  /// What a backward pass needs, where only low-rank adapters are trained.
  public private(set) var kept = 0
  /// The same if every residual and transformer block is run again.
  public private(set) var keptByCheckpoints = 0
  /// The most that one such block takes when it is run again.
  private var largestBlock = 0

  /// The most that one part takes, its input included.
  private var largestPart = 0

  /// In a forward and backward pass: what is kept from one to the other, and the most at one time
  /// beside it.
  public func training(isCheckpointed: Bool) -> (kept: Int, working: Int) {
    isCheckpointed ? (keptByCheckpoints, largestBlock) : (kept, largestPart)
  }

  /// - Parameter rank: of the adapters on the attention projections of transformers
  init(_ parts: [NetworkPart], rank: Int = 0) {
    for part in parts {
      most = max(most, part.waiting + part.working)
      largestPart = max(largestPart, part.working)
      kept += part.kept(rank: rank)
      keptByCheckpoints += part.keptByCheckpoints
      largestBlock = max(largestBlock, part.working + part.keptByOneLayer(rank: rank))
    }
  }
}

extension NetworkPart {
  private var input: Int { inputPlaces * inputs }
  private var output: Int { places * outputs }

  /// The most at one time within the part, its input included.
  var working: Int {
    switch kind {
    case .linear: return 0
    case .convolution:
      // An enlarged copy of the input beside it, where it is enlarged.
      return input + (inputPlaces < places ? places * inputs : 0) + output
    case .resnet:
      // x, its norm and the first convolution; or x, h, its norm and the second one.
      let largest = max(2 * input + output, input + 3 * output)
      return largest + (isJoined ? input : 0)
    case .attention:
      // x, its norm, queries, keys, values, their result and its projection.
      return 7 * input
    case .transformer:
      // x, what came into the layers, what came into this one, its norm, 8 out and 4 of them gated.
      return 16 * input
    }
  }

  /// What the gradient rules keep of the whole part, without its output.
  func kept(rank: Int) -> Int {
    switch kind {
    case .linear, .convolution: return 0
    // The inputs of both norms.
    case .resnet: return input + output
    case .attention: return 6 * input
    case .transformer(let layers, _, _, _): return input + layers * keptByOneLayer(rank: rank)
    }
  }

  /// Of one layer of a transformer, or of another part as a whole.
  func keptByOneLayer(rank: Int) -> Int {
    guard case .transformer(_, let tokens, let contextWidth, _) = kind else {
      return kept(rank: rank)
    }
    // Self-attention: input, norm, queries, keys, values, result. Attention to the prompt: input, norm,
    // queries, result. Feed-forward: input, 8 before the gate. Of each adapter what stands between
    // its matrices.
    let ofPlaces = 19 * inputs + 6 * rank
    let ofTokens = 2 * inputs + 2 * rank + contextWidth
    return places * ofPlaces + tokens * ofTokens
  }

  /// What is kept where blocks are run again: their inputs.
  var keptByCheckpoints: Int {
    switch kind {
    case .linear, .convolution: return 0
    case .resnet: return input
    case .attention: return 6 * input
    case .transformer(let layers, _, _, _): return (1 + layers) * input
    }
  }
}

extension UNetConfiguration {
  /// - Parameters:
  ///   - tokens: hidden states of each prompt
  ///   - rank: of the adapters that are trained
  public func forwardMemory(
    height: Int, width: Int, tokens: Int, rank: Int = 0
  ) -> ForwardMemory {
    ForwardMemory(parts(height: height, width: width, tokens: tokens), rank: rank)
  }
}

extension AutoencoderConfiguration {
  public func decodingMemory(height: Int, width: Int) -> ForwardMemory {
    ForwardMemory(decoderParts(height: height, width: width))
  }

  public func encodingMemory(height: Int, width: Int) -> ForwardMemory {
    ForwardMemory(encoderParts(height: height, width: width))
  }
}

extension CLIPTransformerConfiguration {
  /// Numbers that one forward pass over `tokens` holds: the hidden states of all layers, and what the
  /// largest step of a layer makes.
  public func forwardMemory(tokens: Int) -> Int {
    tokens * ((layers + 1) * width + max(6 * width, 2 * width + 2 * feedForwardWidth))
  }

  /// What the gradient rules keep where every weight is trained.
  public func trainingMemory(tokens: Int, isTimeConditioned: Bool) -> Int {
    // Input, norm, queries, keys, values and result of the attention; input and norm of the
    // feed-forward layer, and its numbers before and after the activation. Told the time, each half
    // keeps its norm before and after the modulation, and what is gated.
    let ofLayer = 8 * width + 2 * feedForwardWidth + (isTimeConditioned ? 6 * width : 0)
    return tokens * layers * ofLayer
  }
}
