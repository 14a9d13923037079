public import Diffusion
public import Files

/// `config.json` of a CLIP model whose vision tower is conditioned on the timestep, with its
/// `preprocessor_config.json`.
public struct PreferenceConfiguration: Equatable, Sendable {
  public var text: CLIPTextConfiguration
  /// The configuration's path, for messages.
  private let textPath: String
  public var vision: CLIPTransformerConfiguration
  /// The side in pixels of the vision tower's square input.
  public var imageSize: Int
  public var patchSize: Int
  public var projectionWidth: Int
  /// Per channel, on pixels in 0...1.
  public var imageMean: [Float]
  public var imageDeviation: [Float]

  public init(_ model: JSONReader, preprocessor: JSONReader) throws {
    try model.require("model_type", oneOf: ["clip"])
    textPath = try model["text_config"].path
    text = try CLIPTextConfiguration(try model["text_config"])
    let tower = try model["vision_config"]
    vision = try CLIPTransformerConfiguration(
      tower, defaultWidth: 768, defaultFeedForwardWidth: 3072, defaultHeads: 12)
    try tower.require("num_channels", oneOf: [3])
    imageSize = try tower.size("image_size", default: 224, in: Self.sides)
    patchSize = try tower.size("patch_size", default: 32, in: Self.sides)
    projectionWidth = try model.size("projection_dim", default: 512, in: ConfigurationRange.width)
    // The towers' own configurations may differ; in a model of two they are ignored.
    text.projectionWidth = projectionWidth
    imageMean = try preprocessor.channels(
      "image_mean", default: [0.481_454_66, 0.457_827_5, 0.408_210_73], in: -10...10)
    imageDeviation = try preprocessor.channels(
      "image_std", default: [0.268_629_54, 0.261_302_58, 0.275_777_11], in: 1e-3...1e3)
    for field in ["size", "crop_size"] {
      guard let resized = try Self.size(preprocessor, field), resized != imageSize else { continue }
      throw PreferenceConfigurationError.sizeMismatch(
        path: "\(preprocessor.path): \(field)", found: resized, expected: imageSize)
    }
    guard imageSize % patchSize == 0 else {
      throw ConfigurationError.indivisible(
        path: tower.path, field: "image_size", value: imageSize, by: "patch_size",
        divisor: patchSize)
    }
    guard imageSize / patchSize <= Self.mostPatches else {
      throw ConfigurationError.outOfRange(
        path: tower.path, field: "patch_size", value: "\(patchSize)",
        range: "\(imageSize / Self.mostPatches) or more for image_size \(imageSize)")
    }
  }

  private static let sides = 1...4_096
  /// The number of patches per side.
  private static let mostPatches = 256

  /// Checks that the model can read a tokenizer's prompts: it must be that of the diffusion model.
  ///
  /// - Parameter name: the name of the tokenizer, for messages
  public func requireFit(_ tokenizer: Tokenizer, _ name: String) throws {
    try text.requireFit(tokenizer, name, path: textPath, readsEnd: true)
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

  /// Reads a number, or an object that contains it; an absent `size` takes transformers' default.
  private static func size(_ preprocessor: JSONReader, _ field: String) throws -> Int? {
    guard let size = try preprocessor.optional(field) else { return field == "size" ? 224 : nil }
    guard let members = size.value.object else { return try size.int() }
    return try members["shortest_edge"] == nil
      ? size["height"].int() : size["shortest_edge"].int()
  }
}

/// A mismatch between a preference model and its preprocessor or tokenizer.
public enum PreferenceConfigurationError: ClassifiedError, Equatable, CustomStringConvertible {
  case sizeMismatch(path: String, found: Int, expected: Int)
  /// Prompts were made with a tokenizer of another model.
  case unknownTokens(length: Int, highest: Int, tokens: Int, vocabularySize: Int)
  /// The model requires another tokenizer than that of the diffusion model, which is at
  /// `tokenizer`.
  case otherTokenizer(path: String, reason: String, tokenizer: String)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .sizeMismatch(let path, let found, let expected):
      "\(path): images are resized to \(found), but the vision tower expects \(expected)"
    case .unknownTokens(let length, let highest, let tokens, let vocabularySize):
      "prompts are \(length) tokens long with ids up to \(highest), but the preference model expects "
        + "\(tokens) of \(vocabularySize); it must have the tokenizer of the diffusion model"
    case .otherTokenizer(let path, let reason, let tokenizer):
      "\(path): \(reason) (\(tokenizer)); use a preference model with that tokenizer"
    }
  }
}

extension JSONReader {
  fileprivate func channels(
    _ key: String, default value: [Float], in range: ClosedRange<Float>
  ) throws -> [Float] {
    guard let list = try optional(key)?.elements() else { return value }
    guard list.count == 3 else {
      throw ConfigurationError.wrongCount(
        path: path, field: key, expected: "3", found: list.count)
    }
    return try list.map { element in
      let number = Float(try element.double())
      guard range.contains(number) else {
        throw ConfigurationError.outOfRange(
          path: path, field: key, value: element.value.text(),
          range: "\(range.lowerBound) to \(range.upperBound)")
      }
      return number
    }
  }
}
