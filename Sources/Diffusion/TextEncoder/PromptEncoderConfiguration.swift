import Files

/// How a model's folder turns prompts into what its U-Net is told of them.
///
/// - Source: diffusers' `StableDiffusionPipeline` and `StableDiffusionXLPipeline`
public struct PromptEncoderConfiguration: Sendable {
  /// The text encoders, in order, each with its tokenizer: one, or two in SDXL.
  public let parts: [Part]
  /// Tokens of a prompt, padding included.
  public let tokens: Int
  /// The width of a prompt's hidden states: that of all text encoders together.
  public let width: Int
  /// The width of the pooled text, which only SDXL has.
  public let pooledWidth: Int?
  /// Whether guidance leads away from zeros where no negative prompt is given.
  public let isEmptyPromptZero: Bool

  public struct Part: Sendable {
    /// The names of the folders.
    public let encoderFolder: String
    public let tokenizerFolder: String
    public let tokenizer: Tokenizer
    public let configuration: CLIPTextConfiguration
  }

  /// - Parameter tokenizers: whose tokenizers to use; the folder's own if nil
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
        reason: "pads to \(other.tokenizer.length) tokens, but the first tokenizer to \(tokens)")
    }
  }

  private static func forcesZeros(_ folder: ModelFolder) throws -> Bool {
    let name = "model_index.json"
    guard folder.hasPart(name) else { return true }
    return try JSONReader(contentsOf: "\(folder.path)/\(name)")
      .bool("force_zeros_for_empty_prompt", default: true)
  }

  /// Checks that a U-Net can be told what the text encoders give.
  public func requireFit(_ unet: UNetConfiguration, of folder: ModelFolder) throws {
    let path = "\(folder.path)/unet/config.json"
    guard unet.contextWidth == width else {
      throw ConfigurationError.misfit(
        path: path,
        reason: "cross_attention_dim is \(unet.contextWidth), but the text encoders give \(width)")
    }
    let wanted = unet.textTime.map { $0.inputWidth - Conditioning.sizeCount * $0.featureWidth }
    guard wanted == pooledWidth else {
      func text(_ width: Int?) -> String { width.map { "\($0) wide" } ?? "none" }
      throw ConfigurationError.misfit(
        path: path,
        reason: "the pooled text must be \(text(wanted)), but the text encoders give "
          + text(pooledWidth))
    }
  }
}

extension PromptEncoderConfiguration.Part {
  fileprivate init(_ folder: ModelFolder, tokenizers: ModelFolder, suffix: String) throws {
    encoderFolder = "text_encoder\(suffix)"
    tokenizerFolder = "tokenizer\(suffix)"
    tokenizer = try tokenizers.tokenizer(tokenizerFolder)
    configuration = try CLIPTextConfiguration(try folder.configuration(encoderFolder))
    guard tokenizer.length <= configuration.tokens,
      tokenizer.vocabularySize <= configuration.vocabularySize
    else {
      throw ConfigurationError.misfit(
        path: "\(tokenizers.path)/\(tokenizerFolder)",
        reason: "makes \(tokenizer.length) of \(tokenizer.vocabularySize) ids, but the text "
          + "encoder takes \(configuration.tokens) of \(configuration.vocabularySize)")
    }
  }
}
