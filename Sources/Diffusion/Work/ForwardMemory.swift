/// Numbers that a forward pass of one row holds in memory, besides the weights.
///
/// Counted from what the layers make and what their gradient rules keep. Left out: what kernels use
/// meanwhile, and what the row's input and output take.
public struct ForwardMemory: Equatable, Sendable {
  /// The most at one time where nothing is kept for a backward pass.
  public private(set) var most = 0
  /// What a backward pass needs.
  public private(set) var kept = 0
  /// The same if every residual and transformer block is run again.
  public private(set) var keptByCheckpoints = 0
  /// The most that one part takes, its input included; and one such block when it is run again.
  private var largestPart = 0
  private var largestBlock = 0

  /// What gradients are wanted for.
  enum Trained: Equatable {
    /// Adapters on the attention projections of transformers.
    case adapters(rank: Int)
    /// Every weight.
    case weights
  }

  init(_ parts: [NetworkPart], training trained: Trained = .adapters(rank: 0)) {
    for part in parts {
      most = max(most, part.waiting + part.working)
      kept += part.kept(trained)
      keptByCheckpoints += part.keptByCheckpoints
      largestPart = max(largestPart, part.working)
      largestBlock = max(largestBlock, part.working + part.keptByOneLayer(trained))
    }
  }

  /// In a forward and backward pass: what is kept from one to the other, and the most at one time
  /// beside it.
  public func training(isCheckpointed: Bool) -> (kept: Int, working: Int) {
    isCheckpointed ? (keptByCheckpoints, largestBlock) : (kept, largestPart)
  }
}

extension NetworkPart {
  private var input: Int { inputPlaces * inputs }
  private var output: Int { places * outputs }

  /// The most at one time within the part, its input included.
  fileprivate var working: Int {
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
  fileprivate func kept(_ trained: ForwardMemory.Trained) -> Int {
    let isAll = trained == .weights
    switch kind {
    case .linear: return 0
    case .convolution: return isAll ? input : 0
    // The inputs of both norms; those of both convolutions.
    case .resnet: return (input + output) * (isAll ? 2 : 1)
    case .attention: return 6 * input
    // The input of the norm; those of both projections.
    case .transformer(let layers, _, _, _):
      return input * (isAll ? 3 : 1) + layers * keptByOneLayer(trained)
    }
  }

  /// Of one layer of a transformer, or of another part as a whole.
  fileprivate func keptByOneLayer(_ trained: ForwardMemory.Trained) -> Int {
    guard case .transformer(_, let tokens, let contextWidth, _) = kind else {
      return kept(trained)
    }
    // Self-attention: input, norm, queries, keys, values, result. Attention to the prompt: input, norm,
    // queries, result. Feed-forward: input, 8 before the gate. Of each adapter what stands between
    // its matrices; where weights are trained, what the two products of the feed-forward layer take in.
    let (ofPlaces, between) =
      switch trained {
      case .adapters(let rank): (19 * inputs + 6 * rank, 2 * rank)
      case .weights: (24 * inputs, 0)
      }
    return places * ofPlaces + tokens * (2 * inputs + between + contextWidth)
  }

  /// What is kept where blocks are run again: their inputs.
  fileprivate var keptByCheckpoints: Int {
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
    ForwardMemory(
      parts(height: height, width: width, tokens: tokens), training: .adapters(rank: rank))
  }

  /// Of the way down and the lowest level, where all their weights are trained.
  public func encoderMemory(height: Int, width: Int, tokens: Int) -> ForwardMemory {
    ForwardMemory(
      parts(height: height, width: width, tokens: tokens).filter { !$0.isWayUp },
      training: .weights)
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
