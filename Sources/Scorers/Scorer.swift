import Autograd
public import Diffusion
public import Imaging
import PreferenceModels

/// One of the published scores of images, with its weights.
public struct Scorer {
  public let kind: ScorerKind
  private let images: ImageScorer
  private let rating: Rating

  /// The mapping from an image's embedding to a score.
  private enum Rating {
    /// The cosine with the prompt's embedding.
    case prompt(PromptEmbedder, Tokenizer)
    /// A head on the image's embedding alone.
    case image(AestheticHead)
  }

  /// Images that go through the vision tower together.
  private static let batch = 8

  /// - Parameters:
  ///   - path: a folder, or a weights file next to its configuration
  ///   - fallback: the tokenizer where the path has none
  /// - Throws: `ScorerError`, and what reading files throws
  public init(_ kind: ScorerKind, path: String, tokenizer fallback: Tokenizer?) throws {
    self.kind = kind
    let files = try CLIPFiles(path: path, published: kind.publishedFile)
    if let version = kind.headVersion {
      images = try files.imageHalf()
      rating = .image(
        try AestheticHead(
          path: "\(files.folder)/\(version.fileName)", version,
          width: images.configuration.projectionWidth))
    } else {
      let model = try files.model()
      images = model.images
      rating = .prompt(
        model.prompts,
        try Self.tokenizer(
          try files.tokenizer() ?? fallback, for: images.configuration.text, path: path))
    }
  }

  private static func tokenizer(
    _ tokenizer: Tokenizer?, for text: CLIPTextConfiguration, path: String
  ) throws(ScorerError) -> Tokenizer {
    guard let tokenizer else { throw .noTokenizer(path: path) }
    guard tokenizer.vocabularySize == text.vocabularySize, tokenizer.length <= text.tokens else {
      throw .otherTokenizer(
        path: path, vocabularySize: text.vocabularySize, tokens: text.tokens,
        foundSize: tokenizer.vocabularySize, foundTokens: tokenizer.length)
    }
    return tokenizer
  }

  /// Returns a reason why weights cannot be those of a score, for display; nil if there is none.
  ///
  /// No file says which score it belongs to, so all that can tell is the shape of the published model.
  public static func doubt(about path: String, of kind: ScorerKind) throws -> String? {
    guard kind.isHuge else { return nil }
    let vision = try CLIPFiles(path: path, published: kind.publishedFile).configuration()
    let found = (vision.vision.width, vision.vision.layers, vision.patchSize)
    guard found != (1280, 32, 14) else { return nil }
    return
      "\(path): \(kind.rawValue) is published as a ViT-H/14 (width 1280, 32 layers, patches of 14), but "
      + "this CLIP has width \(found.0), \(found.1) layers and patches of \(found.2); its scores are not those "
      + "of \(kind.rawValue)"
  }

  /// The files that a scorer is read from, in a fixed order.
  public static func files(path: String, kind: ScorerKind) throws -> [String] {
    let files = try CLIPFiles(path: path, published: kind.publishedFile)
    let head = kind.headVersion.map { "\(files.folder)/\($0.fileName)" }
    return Set(try files.all() + (head.map { [$0] } ?? [])).sorted()
  }

  /// The scores of one prompt's images.
  public struct ImageScores {
    /// One for each image.
    public let scores: [Double]
    /// Unit vectors of the images, under this scorer's CLIP.
    let embeddings: [[Float]]

    /// The mean distance `1 - cosine` of all pairs of some images; nil of fewer than two.
    ///
    /// - Parameter range: their places
    public func diversity(of range: Range<Int>) -> Double? {
      guard range.count > 1 else { return nil }
      var sum = 0.0
      for first in range {
        for second in range.lowerBound..<first {
          sum +=
            1 - zip(embeddings[first], embeddings[second]).reduce(0) { $0 + Double($1.0 * $1.1) }
        }
      }
      return sum / Double(range.count * (range.count - 1) / 2)
    }
  }

  /// Scores images of a prompt.
  ///
  /// - Throws: `ScorerError.notFinite` if the model gives what is no number
  public func callAsFunction(_ images: [RGBImage], prompt: String) throws -> ImageScores {
    try withoutGradients {
      let rate = try ratings(for: prompt)
      var scores: [Double] = []
      var embeddings: [[Float]] = []
      let configuration = self.images.configuration
      for start in stride(from: 0, to: images.count, by: Self.batch) {
        let part = images[start..<min(start + Self.batch, images.count)]
        let pixels = try part.map { try kind.preprocessing.pixels(of: $0, configuration) }
        let vectors = self.images.embedding(of: concatenated(pixels, axis: 0), timesteps: nil)
        scores += rate(vectors).values.map { Double($0) }
        embeddings += part.indices.map { vectors.rows(at: [$0 - start]).values }
      }
      guard let bad = scores.first(where: { !$0.isFinite }) else {
        return ImageScores(scores: scores, embeddings: embeddings)
      }
      throw ScorerError.notFinite(scorer: kind.rawValue, score: bad, prompt: prompt)
    }
  }

  /// From image embeddings `[images, width]` to a score for each.
  private func ratings(for prompt: String) throws -> (Tensor) -> Tensor {
    switch rating {
    case .image(let head): return { head($0) }
    case .prompt(let prompts, let tokenizer):
      let text = try prompts([try tokenizer.encode(kind.cleaned(prompt))])
      let factor = kind.factor(scale: images.scale)
      return { ($0 * text).sum(over: 1..<2).scaled(by: factor) }
    }
  }
}
