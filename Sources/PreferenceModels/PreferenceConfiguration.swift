public import Diffusion
public import Files

/// `config.json` of a CLIP model whose vision tower is told the timestep, with its
/// `preprocessor_config.json`.
public struct PreferenceConfiguration: Equatable, Sendable {
  public var text: CLIPTextConfiguration
  public var vision: CLIPTransformerConfiguration
  /// Pixels of a side of the square pictures that the vision tower takes.
  public var imageSize: Int
  public var patchSize: Int
  public var projectionWidth: Int
  /// Per channel, on pixels in 0...1.
  public var imageMean: [Float]
  public var imageDeviation: [Float]

  public init(_ model: JSONReader, preprocessor: JSONReader) throws {
    text = try CLIPTextConfiguration(try model["text_config"])
    let tower = try model["vision_config"]
    vision = try CLIPTransformerConfiguration(
      tower, defaultWidth: 768, defaultFeedForwardWidth: 3072, defaultHeads: 12)
    imageSize = try tower.size("image_size", default: 224)
    patchSize = try tower.size("patch_size", default: 32)
    projectionWidth = try model.size("projection_dim", default: 512)
    // The towers' own configurations may say otherwise; in a model of two it does not count.
    text.projectionWidth = projectionWidth
    imageMean = try preprocessor.channels(
      "image_mean", default: [0.481_454_66, 0.457_827_5, 0.408_210_73])
    imageDeviation = try preprocessor.channels(
      "image_std", default: [0.268_629_54, 0.261_302_58, 0.275_777_11])
    let resized = try Self.size(preprocessor)
    guard resized == imageSize else {
      throw PreferenceConfigurationError.sizeMismatch(
        path: preprocessor.path, found: resized, expected: imageSize)
    }
    guard imageSize % patchSize == 0 else {
      throw ConfigurationError.indivisible(
        path: tower.path, field: "image_size", value: imageSize, by: "patch_size",
        divisor: patchSize)
    }
  }

  func requireFit(_ ids: [[Int]]) throws(PreferenceConfigurationError) {
    let length = ids.reduce(0) { max($0, $1.count) }
    let highest = ids.reduce(0) { max($0, $1.max() ?? 0) }
    guard length <= text.tokens, highest < text.vocabularySize else {
      throw .unknownTokens(
        length: length, highest: highest, tokens: text.tokens,
        vocabularySize: text.vocabularySize)
    }
  }

  /// A number, or an object that holds it; the model's own size where the file says nothing.
  private static func size(_ preprocessor: JSONReader) throws -> Int {
    guard let size = try preprocessor.optional("size") else { return 224 }
    return size.value.object == nil ? try size.int() : try size["shortest_edge"].int()
  }
}

/// What is wrong between a preference model and its preprocessor.
public enum PreferenceConfigurationError: ClassifiedError, Equatable, CustomStringConvertible {
  case sizeMismatch(path: String, found: Int, expected: Int)
  /// Prompts were made with a tokenizer of another model.
  case unknownTokens(length: Int, highest: Int, tokens: Int, vocabularySize: Int)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .sizeMismatch(let path, let found, let expected):
      "\(path): pictures are resized to \(found), but the vision tower takes \(expected)"
    case .unknownTokens(let length, let highest, let tokens, let vocabularySize):
      "prompts are \(length) tokens long with ids up to \(highest), but the preference model takes "
        + "\(tokens) of \(vocabularySize); it must have the tokenizer of the diffusion model"
    }
  }
}

extension JSONReader {
  fileprivate func channels(_ key: String, default value: [Float]) throws -> [Float] {
    guard let list = try optional(key)?.elements() else { return value }
    guard list.count == 3 else {
      throw ConfigurationError.wrongCount(path: path, field: key, expected: 3, found: list.count)
    }
    return try list.map { Float(try $0.double()) }
  }
}
