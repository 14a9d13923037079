import Catalog
import Files
import Foundation
import PipelineCore
import StageSupport

/// Labels of comparisons by the scores of a CLIP model, from its embeddings in the cache.
///
///     p = softmax(score_0, score_1),  p_0 - p_1 = tanh((score_0 - score_1) / 2)
///
/// `label` writes it to `WORKSPACE/labels.json` for stage `shard`.
///
/// - Source: Liang et al. 2024, arXiv 2406.04314, for Stable Diffusion XL
struct ScoredLabels {
  static let fileName = "labels.json"

  /// Unit vectors of images.
  var image: CacheDatabase.Encoder
  /// Unit vectors of prompts times the model's logit scale: a score is the product with an image's.
  var text: CacheDatabase.Encoder
  /// The largest difference of probabilities that counts as a tie.
  var gap: Float

  init(_ settings: LabelSettings, width: Int, fingerprint: String, tokenizer: String) {
    image = CacheDatabase.Encoder(
      kind: .pictureEmbedding, fingerprint: fingerprint,
      geometry: "shorter-edge bicubic centre-crop, unit length", shape: [width])
    text = CacheDatabase.Encoder(
      kind: .textEmbedding, fingerprint: "\(fingerprint) \(tokenizer)",
      geometry: "projected, scaled", shape: [width])
    gap = settings.gap
  }

  /// Returns the labels of a comparison of two images for a prompt, each given by its content's
  /// digest.
  func callAsFunction(
    _ first: String, _ second: String, prompt: String, _ cache: CacheDatabase
  ) throws -> (first: Float, second: Float) {
    let prompt = try vector(prompt, text, cache)
    func score(_ digest: String) throws -> Float {
      zip(try vector(digest, image, cache), prompt).reduce(0) { $0 + $1.0 * $1.1 }
    }
    return Self.labels(try score(first), try score(second), gap: gap)
  }

  static func labels(
    _ first: Float, _ second: Float, gap: Float
  ) -> (first: Float, second: Float) {
    // 1 / (1 + exp(-d)) - 1 / (1 + exp(d))
    let difference = 2 / (1 + exp(second - first)) - 1
    if difference > gap { return (1, 0) }
    return difference < -gap ? (0, 1) : (0.5, 0.5)
  }

  private func vector(
    _ content: String, _ encoder: CacheDatabase.Encoder, _ cache: CacheDatabase
  ) throws -> [Float] {
    guard let bytes = try cache.value(of: content, from: encoder) else {
      throw CatalogError.damagedEntry(
        path: cache.database.path, content: content, reason: "it is missing")
    }
    return stride(from: 0, to: bytes.count, by: 2).map {
      Float(Float16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8))
    }
  }
}

// MARK: - File

extension ScoredLabels {
  init(contentsOf path: String) throws {
    let json = try JSONReader(contentsOf: path)
    image = try CacheDatabase.Encoder(json["picture"], kind: .pictureEmbedding)
    text = try CacheDatabase.Encoder(json["text"], kind: .textEmbedding)
    gap = Float(try json.double("gap"))
    guard image.shape == text.shape, image.shape.count == 1 else {
      throw PipelineError.damaged(path: path, reason: "shapes \(image.shape) and \(text.shape)")
    }
  }

  func save(to path: String) throws {
    try writeJSON(
      [
        "picture": image.json, "text": text.json,
        // Via the shortest text, so that 0.1 stays 0.1.
        "gap": .number(Double(gap.description) ?? Double(gap)),
      ], to: path)
  }
}
