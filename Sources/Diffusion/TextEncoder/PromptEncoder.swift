public import Autograd
public import NN

/// Encodes prompts to the conditioning of a model's U-Net.
///
/// A single text encoder gives its last hidden states, after the final norm. With two (SDXL) the
/// hidden states before the last layer are concatenated, without a norm, and the second's pooled
/// and projected output is added to the conditioning.
///
/// - Source: Podell et al. 2023, arXiv 2307.01952, section 2.1
public struct PromptEncoder {
  public let configuration: PromptEncoderConfiguration
  /// The parameters of all text encoders, prefixed by the names of their folders.
  public let parameters: [Parameter]
  private let encoders: [CLIPTextEncoder]

  public struct Output {
    /// The hidden states, one row per prompt, `[prompts, tokens, width]`.
    public var hiddenStates: Tensor
    /// The pooled text embeddings, `[prompts, pooled width]`; nil for a single text encoder.
    public var pooledText: Tensor?
  }

  /// - Parameters:
  ///   - tokenizers: the folder of the tokenizers; nil: the model's own
  ///   - adapters: adapters of the text encoders' layers
  ///   - isTrainable: whether gradients of the text encoders' weights are needed
  public init(
    _ folder: ModelFolder, tokenizers: ModelFolder? = nil, adapters: ModelAdapters? = nil,
    isTrainable: Bool = false
  ) throws {
    configuration = try PromptEncoderConfiguration(folder, tokenizers: tokenizers)
    // Weights named below a scope would not match adapters.
    let built = try configuration.parts.map {
      try folder.textEncoder(
        $0.encoderFolder, adapters: adapters?[$0.encoderFolder], isTrainable: isTrainable,
        namedBelow: adapters == nil ? $0.encoderFolder : nil)
    }
    encoders = built.map(\.model)
    parameters = built.flatMap(\.weights.parameters)
  }

  public func callAsFunction(_ prompts: [String]) throws -> Output {
    try withoutGradients { joined(try outputs(prompts)) }
  }

  /// Returns each text encoder's output for prompts.
  ///
  /// - Throws: `NonFiniteError`; `TokenizerError` for a prompt that is too long
  public func outputs(_ prompts: [String]) throws -> [CLIPTextEncoder.Output] {
    try zip(configuration.parts, encoders).map { part, encoder in
      let output = encoder(try prompts.map { try part.tokenizer.encode($0) })
      for tensor in [output.lastHiddenState, output.penultimateHiddenState, output.pooled]
      where !tensor.isFinite {
        for (row, prompt) in prompts.enumerated() {
          try naming(["prompt \"\(prompt.prefix(80))\""]) {
            try tensor.slice(axis: 0, row..<row + 1).requiringFinite(part.encoderFolder)
          }
        }
      }
      return output
    }
  }

  /// Combines the text encoders' outputs to the U-Net's conditioning.
  public func joined(_ outputs: [CLIPTextEncoder.Output]) -> Output {
    guard outputs.count > 1 else { return Output(hiddenStates: outputs[0].lastHiddenState) }
    return Output(
      hiddenStates: concatenated(outputs.map(\.penultimateHiddenState), axis: 2),
      pooledText: outputs[1].pooled)
  }

  /// Returns the conditioning of an absent negative prompt: one row.
  public func empty() throws -> Output {
    guard configuration.isEmptyPromptZero else { return try self([""]) }
    return Output(
      hiddenStates: Tensor(repeating: 0, shape: [1, configuration.tokens, configuration.width]),
      pooledText: configuration.pooledWidth.map { Tensor(repeating: 0, shape: [1, $0]) })
  }
}

extension Conditioning {
  /// Creates the conditioning on prompts and, with pooled text, on the size of uncropped images.
  public init(_ prompts: PromptEncoder.Output, height: Int, width: Int) {
    self.init(
      prompts.hiddenStates, pooledText: prompts.pooledText,
      sizes: Self.sizes(ofWholePicture: height, width))
  }
}
