public import Autograd
public import NN

/// Turns prompts into the conditioning of a model's U-Net.
///
/// One text encoder gives its last hidden states, after the final norm. Of two (SDXL) the hidden states
/// before the last layer are joined, without a norm, and the second's pooled and projected output goes
/// along.
///
/// - Source: Podell et al. 2023, arXiv 2307.01952, section 2.1
public struct PromptEncoder {
  public let configuration: PromptEncoderConfiguration
  /// Of all text encoders, under the names of their folders.
  public let parameters: [Parameter]
  private let encoders: [CLIPTextEncoder]

  public struct Output {
    /// One row for each prompt, `[prompts, tokens, width]`.
    public var hiddenStates: Tensor
    /// The same, `[prompts, pooled width]`; nil where there is one text encoder.
    public var pooledText: Tensor?
  }

  /// - Parameters:
  ///   - tokenizers: whose tokenizers to use; the folder's own if nil
  ///   - adapters: what the text encoders' layers add
  ///   - isTrainable: whether gradients of the text encoders' weights are wanted
  public init(
    _ folder: ModelFolder, tokenizers: ModelFolder? = nil, adapters: ModelAdapters? = nil,
    isTrainable: Bool = false
  ) throws {
    configuration = try PromptEncoderConfiguration(folder, tokenizers: tokenizers)
    // Weights that are named below a scope would not match adapters.
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

  /// What each text encoder makes of prompts.
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

  /// The U-Net's conditioning, from what the text encoders made.
  public func joined(_ outputs: [CLIPTextEncoder.Output]) -> Output {
    guard outputs.count > 1 else { return Output(hiddenStates: outputs[0].lastHiddenState) }
    return Output(
      hiddenStates: concatenated(outputs.map(\.penultimateHiddenState), axis: 2),
      pooledText: outputs[1].pooled)
  }

  /// What guidance leads away from where no negative prompt is given: one row.
  public func empty() throws -> Output {
    guard configuration.isEmptyPromptZero else { return try self([""]) }
    return Output(
      hiddenStates: Tensor(repeating: 0, shape: [1, configuration.tokens, configuration.width]),
      pooledText: configuration.pooledWidth.map { Tensor(repeating: 0, shape: [1, $0]) })
  }
}

extension Conditioning {
  /// Tells of prompts and, where there is pooled text, of whole images of a size.
  public init(_ prompts: PromptEncoder.Output, height: Int, width: Int) {
    self.init(
      prompts.hiddenStates, pooledText: prompts.pooledText,
      sizes: Self.sizes(ofWholePicture: height, width))
  }
}
