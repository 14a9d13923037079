import Catalog
import Diffusion
import Files
import PipelineCore

/// What encodes images and prompts, exactly enough to find their entries in the cache.
///
/// `encode` leaves it as `WORKSPACE/encodings.json` for the stages after it.
struct Encodings: Equatable {
  static let fileName = "encodings.json"
  /// Raised when the code changes what the same weights make of the same content.
  private static let codeVersion = 1

  var modelPath: String
  var image: CacheDatabase.Encoder
  var text: CacheDatabase.Encoder
  var tokenizerFingerprint: String
  var scalingFactor: Double

  /// Height and width of the pictures.
  var size: Int
  var hasLogVariance: Bool { image.shape.count == 4 }
  /// `[channels, height, width]` of one latent.
  var latentShape: [Int] { Array(image.shape.suffix(3)) }

  init(_ settings: EncodeSettings, digests: FileDigests) throws {
    let folder = ModelFolder(path: settings.model)
    guard !folder.hasPart("text_encoder_2") else {
      throw PipelineError.badSetting(
        path: "model", reason: "\(settings.model) has two text encoders; one is supported")
    }
    let vae = try AutoencoderConfiguration(try folder.configuration("vae"))
    let text = try CLIPTextConfiguration(try folder.configuration("text_encoder"))
    let tokenizer = try Tokenizer(folder: "\(settings.model)/tokenizer")
    guard tokenizer.length <= text.tokens, tokenizer.vocabularySize <= text.vocabularySize else {
      throw PipelineError.badSetting(
        path: "model",
        reason: "\(settings.model): the tokenizer makes \(tokenizer.length) of "
          + "\(tokenizer.vocabularySize) ids, but the text encoder takes \(text.tokens) of "
          + "\(text.vocabularySize)")
    }
    size = try Self.size(settings, folder, vae)
    let side = size / vae.reduction
    let latent = [vae.latentChannels, side, side]
    let isMean = settings.latents == .mean
    image = CacheDatabase.Encoder(
      kind: .latent, fingerprint: try Self.fingerprint(folder, ["vae"], digests),
      geometry: "\(size)x\(size) shorter-edge bicubic centre-crop, scaled "
        + settings.latents.rawValue,
      shape: isMean ? latent : [2] + latent)
    self.text = CacheDatabase.Encoder(
      kind: .textEmbedding,
      fingerprint: try Self.fingerprint(folder, ["text_encoder", "tokenizer"], digests),
      geometry: "last hidden state", shape: [tokenizer.length, text.transformer.width])
    tokenizerFingerprint = try Self.fingerprint(folder, ["tokenizer"], digests)
    // By way of the shortest text, so that 0.18215 stays 0.18215.
    scalingFactor = Double(vae.scalingFactor.description) ?? Double(vae.scalingFactor)
    modelPath = settings.model
  }

  private static func size(
    _ settings: EncodeSettings, _ folder: ModelFolder, _ vae: AutoencoderConfiguration
  ) throws -> Int {
    let size =
      try settings.size
      ?? vae.reduction * UNetConfiguration(folder.configuration("unet")).sampleSize
    guard (1...16_384).contains(size), size.isMultiple(of: vae.reduction) else {
      throw PipelineError.badSetting(
        path: "encode.size",
        reason: "\(size) must be a multiple of \(vae.reduction), by which the autoencoder reduces")
    }
    return size
  }

  /// The files that the encodings depend on.
  static func inputs(model: String, digests: FileDigests) throws -> [StageInput] {
    try ["vae", "text_encoder", "tokenizer"].flatMap {
      try digests.inputs(folder: "\(model)/\($0)")
    } + [try digests.input(file: "\(model)/unet/config.json")]
  }

  /// SHA-256 over the names and contents of all files of some parts of a model.
  private static func fingerprint(
    _ folder: ModelFolder, _ parts: [String], _ digests: FileDigests
  ) throws -> String {
    var lines = ["code \(codeVersion)"]
    for part in parts {
      for file in try digests.inputs(folder: "\(folder.path)/\(part)") {
        lines.append("\(file.name.dropFirst(folder.path.count)) \(file.identity)")
      }
    }
    return SHA256.hexDigest(of: Array(lines.joined(separator: "\n").utf8))
  }
}

// MARK: - File

extension Encodings {
  init(contentsOf path: String) throws {
    let json = try JSONReader(contentsOf: path)
    modelPath = try json.string("model")
    size = try json.int("size")
    scalingFactor = try json.double("scaling_factor")
    tokenizerFingerprint = try json.string("tokenizer")
    image = try CacheDatabase.Encoder(json["image"], kind: .latent)
    text = try CacheDatabase.Encoder(json["text"], kind: .textEmbedding)
    guard [3, 4].contains(image.shape.count), text.shape.count == 2 else {
      throw PipelineError.damaged(path: path, reason: "shapes \(image.shape) and \(text.shape)")
    }
  }

  func save(to path: String) throws {
    let json: JSON = [
      "model": .string(modelPath), "size": .integer(size),
      "scaling_factor": .number(scalingFactor), "tokenizer": .string(tokenizerFingerprint),
      "image": image.json, "text": text.json,
    ]
    try AtomicFile.replace(path, with: Array((json.text(.pretty) + "\n").utf8))
  }
}

extension CacheDatabase.Encoder {
  fileprivate init(_ json: JSONReader, kind: Kind) throws {
    self.init(
      kind: kind, fingerprint: try json.string("fingerprint"),
      geometry: try json.string("geometry"), shape: try json.ints("shape"))
  }

  fileprivate var json: JSON {
    [
      "fingerprint": .string(fingerprint), "geometry": .string(geometry),
      "shape": .array(shape.map { .integer($0) }),
    ]
  }
}
