import Catalog
import Diffusion
import Files
import PipelineCore
import StageSupport

/// The identity of the image and prompt encoders, exact enough to find their entries in the cache.
///
/// `encode` writes it to `WORKSPACE/encodings.json` for later stages.
struct EncoderIdentity: Equatable {
  static let fileName = "encodings.json"
  /// Incremented when the code changes what the same weights produce for the same content.
  private static let codeVersion = 1

  var model: ModelFolder
  var image: CacheDatabase.Encoder
  /// A prompt's hidden states, followed by the pooled text embedding if there is one.
  var text: CacheDatabase.Encoder
  /// The layout of a `text` value.
  var prompt: PromptLayout
  var tokenizerFingerprint: String
  var scalingFactor: Double

  /// The height and width of the images.
  var size: Int
  var hasLogVariance: Bool { image.shape.count == 4 }
  struct PromptLayout: Equatable {
    var tokens: Int
    var width: Int
    /// Nil for a single text encoder that gives only hidden states.
    var pooledWidth: Int?
    /// Whether the empty prompt is all zeros in guidance.
    var isEmptyPromptZero = false

    var embeddingCount: Int { tokens * width }
  }

  /// `[channels, height, width]` of one latent.
  var latentShape: [Int] { Array(image.shape.suffix(3)) }

  init(_ settings: EncodeSettings, digests: FileDigests) throws {
    let folder = settings.base
    let configuration = try ModelConfiguration(folder)
    let (vae, encoder) = (configuration.autoencoder, configuration.prompts)
    size = try Self.size(settings, configuration)
    try configuration.requireFeasible(imageSide: size)
    let side = size / vae.reduction
    let latent = [vae.latentChannels, side, side]
    let isMean = settings.latents == .mean
    image = CacheDatabase.Encoder(
      kind: .latent, fingerprint: try Self.fingerprint(folder, ["vae"], digests),
      geometry: "\(size)x\(size) shorter-edge bicubic centre-crop, scaled "
        + settings.latents.rawValue,
      shape: isMean ? latent : [2] + latent)
    prompt = PromptLayout(
      tokens: encoder.tokens, width: encoder.width, pooledWidth: encoder.pooledWidth,
      isEmptyPromptZero: encoder.isEmptyPromptZero)
    text = CacheDatabase.Encoder(
      kind: .textEmbedding,
      fingerprint: try Self.fingerprint(folder, folder.textParts, digests),
      geometry: prompt.pooledWidth == nil
        ? "last hidden state" : "penultimate hidden states joined, then pooled text",
      shape: prompt.valueShape)
    tokenizerFingerprint = try Self.fingerprint(folder, ["tokenizer"], digests)
    // Via the shortest text, so that 0.18215 stays 0.18215.
    scalingFactor = Double(vae.scalingFactor.description) ?? Double(vae.scalingFactor)
    model = folder
  }

  /// Returns the height and width of the images.
  static func size(_ settings: EncodeSettings, _ model: ModelConfiguration) throws -> Int {
    let size = settings.size ?? model.imageSide
    let vae = model.autoencoder
    guard ConfigurationRange.side.contains(size), size.isMultiple(of: vae.reduction) else {
      throw PipelineError.badSetting(
        path: "encode.size",
        reason: "\(size) must be a multiple of \(vae.reduction), the VAE's downsampling factor")
    }
    return size
  }

  /// Returns the files that the encodings depend on.
  static func inputs(_ model: ModelFolder, _ digests: FileDigests) throws -> [StageInput] {
    let files = ["unet/config.json", "model_index.json"].filter {
      // With two text encoders the model index says what represents the empty prompt.
      $0.hasPrefix("unet") || model.hasPart("text_encoder_2") && model.hasPart($0)
    }
    return try model.inputs(["vae"] + model.textParts, digests)
      + (model.isFile
        ? [] : files.map { try digests.input(file: "\(model.path)/\($0)", as: "model/\($0)") })
  }

  /// SHA-256 over the names and contents of all files of some parts of a model.
  private static func fingerprint(
    _ model: ModelFolder, _ parts: [String], _ digests: FileDigests
  ) throws -> String {
    var lines = ["code \(codeVersion)"]
    for file in try model.inputs(parts, digests) {
      let root =
        [model.tokenizerPath, model.path, model.autoencoderPath].compactMap(\.self)
        .first { file.path == $0 || file.path.hasPrefix("\($0)/") } ?? ""
      lines.append("\(file.path.dropFirst(root.count)) \(file.identity)")
    }
    return SHA256.hexDigest(of: Array(lines.joined(separator: "\n").utf8))
  }
}

// MARK: - File

extension EncoderIdentity {
  /// Reads the identity that stage `encode` has left for another stage.
  init(_ context: StageContext) throws {
    let settings = try context.settings(EncodeSettings.self, of: Encode.name)
    try self.init(
      contentsOf: context.workspace.path(Self.fileName),
      model: settings.base)
  }

  /// - Parameter model: the model's location, which the file does not record
  private init(contentsOf path: String, model: ModelFolder) throws {
    let json = try JSONReader(contentsOf: path)
    self.model = model
    size = try json.int("size")
    scalingFactor = try json.double("scaling_factor")
    tokenizerFingerprint = try json.string("tokenizer")
    image = try CacheDatabase.Encoder(json["image"], kind: .latent)
    text = try CacheDatabase.Encoder(json["text"], kind: .textEmbedding)
    prompt = try PromptLayout(try json.optional("prompt"), shape: text.shape)
    guard [3, 4].contains(image.shape.count), text.shape == prompt.valueShape else {
      throw PipelineError.damaged(path: path, reason: "shapes \(image.shape) and \(text.shape)")
    }
  }

  func save(to path: String) throws {
    var json = JSON.Object()
    json["size"] = .integer(size)
    json["scaling_factor"] = .number(scalingFactor)
    json["tokenizer"] = .string(tokenizerFingerprint)
    json["image"] = image.json
    json["text"] = text.json
    if let pooledWidth = prompt.pooledWidth {
      json["prompt"] = [
        "tokens": .integer(prompt.tokens), "width": .integer(prompt.width),
        "pooled_width": .integer(pooledWidth),
        "is_empty_prompt_zero": .bool(prompt.isEmptyPromptZero),
      ]
    }
    try AtomicFile.replace(path, with: Array((JSON.object(json).text(.pretty) + "\n").utf8))
  }
}

extension EncoderIdentity.PromptLayout {
  /// - Parameter json: nil if there are only hidden states of `shape`
  fileprivate init(_ json: JSONReader?, shape: [Int]) throws {
    guard let json else {
      self.init(tokens: shape.first ?? 0, width: shape.last ?? 0)
      return
    }
    self.init(
      tokens: try json.size("tokens", default: 0, in: ConfigurationRange.width),
      width: try json.size("width", default: 0, in: ConfigurationRange.width),
      pooledWidth: try json.size("pooled_width", default: 0, in: ConfigurationRange.width),
      isEmptyPromptZero: try json.bool("is_empty_prompt_zero"))
  }

  /// The shape of a prompt's value in the cache.
  fileprivate var valueShape: [Int] {
    pooledWidth.map { [embeddingCount + $0] } ?? [tokens, width]
  }
}

extension CacheDatabase.Encoder {
  init(_ json: JSONReader, kind: Kind) throws {
    self.init(
      kind: kind, fingerprint: try json.string("fingerprint"),
      geometry: try json.string("geometry"), shape: try json.ints("shape"))
  }

  var json: JSON {
    [
      "fingerprint": .string(fingerprint), "geometry": .string(geometry),
      "shape": .array(shape.map { .integer($0) }),
    ]
  }
}
