import Files

/// The configuration of the text encoders that condition a model's U-Net.
///
/// - Source: diffusers' `StableDiffusionPipeline` and `StableDiffusionXLPipeline`
public struct PromptEncoderConfiguration: Sendable {
  /// The text encoders, in order, each with its tokenizer: one, or two in SDXL.
  public let parts: [Part]
  /// The number of tokens of a prompt, including padding.
  public let tokens: Int
  /// The width of a prompt's hidden states: the sum over all text encoders.
  public let width: Int
  /// The width of the pooled text embedding, which only SDXL has.
  public let pooledWidth: Int?
  /// Whether an absent negative prompt is all zeros.
  public let isEmptyPromptZero: Bool

  public struct Part: Sendable {
    /// The names of the folders.
    public let encoderFolder: String
    public let tokenizerFolder: String
    public let tokenizer: Tokenizer
    public let configuration: CLIPTextConfiguration
  }

  /// - Parameter tokenizers: the folder of the tokenizers; nil: the model's own
  public init(_ folder: ModelFolder, tokenizers: ModelFolder? = nil) throws {
    parts = try ["", "_2"].filter { $0.isEmpty || folder.hasPart("text_encoder\($0)") }.map {
      try Part(folder, tokenizers: tokenizers ?? folder, suffix: $0)
    }
    tokens = parts[0].tokenizer.length
    width = parts.reduce(0) { $0 + $1.configuration.transformer.width }
    pooledWidth = parts.count > 1 ? parts[1].configuration.projectionWidth : nil
    isEmptyPromptZero = try parts.count > 1 && Self.forcesZeros(folder)
    if let other = parts.last, other.tokenizer.length != tokens {
      throw ConfigurationError.misfit(
        path: "\(folder.path)/\(other.tokenizerFolder)",
        reason: "model_max_length is \(other.tokenizer.length), but that of the first tokenizer "
          + "is \(tokens)")
    }
  }

  /// Reads the settings of SDXL's pipeline.
  private static func forcesZeros(_ folder: ModelFolder) throws -> Bool {
    let name = "model_index.json"
    guard folder.hasPart(name) else { return true }
    let index = try JSONReader(contentsOf: "\(folder.path)/\(name)")
    // The pooled embedding would be the first encoder's.
    if index.value["text_encoder"]?.array?.last == "CLIPTextModelWithProjection" {
      throw ConfigurationError.unsupported(
        path: index.path, field: "text_encoder", value: "CLIPTextModelWithProjection")
    }
    return try index.flag("force_zeros_for_empty_prompt", default: true)
  }

  /// Checks that the text encoders' outputs match a U-Net's conditioning.
  ///
  /// - Parameter path: the path of the U-Net's configuration
  public func requireFit(_ unet: UNetConfiguration, path: String) throws {
    func misfit(_ reason: String) -> ConfigurationError {
      .misfit(path: path, reason: "\(reason); are the parts of one model?")
    }
    guard unet.contextWidth == width else {
      let widths = parts.map { "\($0.configuration.transformer.width)" }
      throw misfit(
        "cross_attention_dim is \(unet.contextWidth), but the text encoders give "
          + (widths.count > 1 ? widths.joined(separator: " + ") + " = \(width)" : "\(width)"))
    }
    switch (unet.textTime, pooledWidth) {
    case (nil, nil): break
    case (let textTime?, let pooledWidth?):
      let features = Conditioning.sizeCount * textTime.featureWidth
      guard textTime.pooledWidth == pooledWidth else {
        throw misfit(
          "projection_class_embeddings_input_dim is \(textTime.inputWidth), but the second text "
            + "encoder's projection of \(pooledWidth) and \(Conditioning.sizeCount) x "
            + "\(textTime.featureWidth) features of sizes make \(pooledWidth + features)")
      }
    case (_?, nil):
      throw misfit("addition_embed_type is text_time, but there is one text encoder")
    case (nil, _?):
      throw misfit("addition_embed_type is not text_time, but there are two text encoders")
    }
  }
}

extension PromptEncoderConfiguration.Part {
  fileprivate init(_ folder: ModelFolder, tokenizers: ModelFolder, suffix: String) throws {
    encoderFolder = "text_encoder\(suffix)"
    tokenizerFolder = "tokenizer\(suffix)"
    tokenizer = try tokenizers.tokenizer(tokenizerFolder)
    let file = try folder.configuration(encoderFolder)
    // The pipeline of Stable Diffusion then masks the padding; SDXL's does not.
    if !folder.hasPart("text_encoder_2"), try file.flag("use_attention_mask", default: false) {
      throw ConfigurationError.unsupported(
        path: file.path, field: "use_attention_mask", value: "true")
    }
    configuration = try CLIPTextConfiguration(file)
    // Of two encoders, the second's output at the end token is used.
    try configuration.requireFit(
      tokenizer, "\(tokenizers.path)/\(tokenizerFolder)", path: file.path,
      readsEnd: !suffix.isEmpty)
  }
}

extension CLIPTextConfiguration {
  /// Checks that every id of a tokenizer and every position has an embedding, and that the end is
  /// found.
  ///
  /// - Parameters:
  ///   - name: the name of the tokenizer, for messages
  ///   - path: the path of this configuration
  ///   - readsEnd: whether the output at the end token is used
  public func requireFit(
    _ tokenizer: Tokenizer, _ name: String, path: String, readsEnd: Bool
  ) throws {
    func misfit(_ reason: String) -> ConfigurationError { .misfit(path: path, reason: reason) }
    guard tokenizer.vocabularySize <= vocabularySize else {
      throw misfit(
        "vocab_size is \(vocabularySize), but \(name) has \(tokenizer.vocabularySize) tokens")
    }
    guard tokenizer.length <= tokens else {
      throw misfit(
        "max_position_embeddings is \(tokens), but \(name) pads prompts to \(tokenizer.length) "
          + "tokens (model_max_length)")
    }
    guard !readsEnd || endToken == tokenizer.endToken || endToken == Self.legacyEndToken else {
      throw misfit(
        "eos_token_id is \(endToken), but \(name) ends prompts with \(tokenizer.endToken)")
    }
  }
}
