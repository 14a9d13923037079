import Files
import Imaging
import PipelineCore
public import Scorers

/// A scorer's scores of the images of a set, by prompt.
public struct ScoreSet {
  /// `[prompt][image]`.
  public private(set) var scores: [[Double]] = []
  /// The diversity by prompt; nil if not measured.
  public private(set) var diversity: [Double?] = []

  public init() {}

  public mutating func append(_ prompt: PromptScores) {
    scores.append(prompt.scores)
    diversity.append(prompt.diversity)
  }

  /// The mean score of each prompt's images.
  var promptMeans: [Double] { scores.map { $0.reduce(0, +) / Double($0.count) } }

  /// The mean diversity over prompts; nil if not measured.
  var meanDiversity: Double? {
    let found = diversity.compactMap { $0 }
    guard !found.isEmpty, found.count == diversity.count else { return nil }
    return found.reduce(0, +) / Double(found.count)
  }
}

/// The scores of one prompt, stored in a file with the digests of the images that they belong to.
public struct PromptScores {
  let images: [String]
  public let scores: [Double]
  public let diversity: Double?

  init(images: [String], scores: [Double], diversity: Double?) {
    self.images = images
    self.scores = scores
    self.diversity = diversity
  }

  /// Nil if there are none for these images; an unreadable file counts as none.
  public init?(path: String, of images: [String]) {
    guard let json = try? JSON(contentsOf: path),
      json["images"]?.array?.map(\.string) == images,
      let scores = json["scores"]?.array?.compactMap(\.double), scores.count == images.count,
      // Files of an earlier version have no checksum.
      let content = json.object,
      json["check"] == nil || json["check"]?.string == Self.checksum(content)
    else { return nil }
    self.init(images: images, scores: scores, diversity: json["diversity"]?.double)
  }

  public func write(to path: String) throws {
    var json: JSON.Object = .init()
    json["images"] = .array(images.map { .string($0) })
    json["scores"] = .array(scores.map { .number($0) })
    if let diversity { json["diversity"] = .number(diversity) }
    try Folders.make(OutputPath.folder(of: path))
    json["check"] = .string(Self.checksum(json))
    try AtomicFile.replace(path, with: Array(JSON.object(json).text().utf8))
  }

  /// Returns a checksum of everything else in the file.
  private static func checksum(_ json: JSON.Object) -> String {
    var json = json
    json["check"] = nil
    return SHA256.hexDigest(of: Array(JSON.object(json).text().utf8))
  }

  /// Scores the images at `paths`.
  public static func scored(
    _ paths: [String], contents: [[UInt8]], digests: [String], prompt: String, by scorer: Scorer
  ) throws -> PromptScores {
    let images = try zip(paths, contents).map { try RGBImage(generatedAt: $0, contents: $1) }
    let result = try scorer(images, prompt: prompt)
    return PromptScores(
      images: digests, scores: result.scores,
      diversity: scorer.kind.measuresDiversity
        ? result.diversity(of: images.indices) : nil)
  }
}

extension RGBImage {
  /// Decodes an image that an earlier call has written.
  ///
  /// - Throws: `EvaluationError.damagedImage`
  init(generatedAt path: String, contents: [UInt8]? = nil) throws {
    let contents = try contents ?? Self.contents(ofGeneratedAt: path)
    do { try self.init(decoding: contents) } catch {
      throw EvaluationError.damagedImage(path: path, problem: "\(error)")
    }
  }

  /// - Throws: `EvaluationError.damagedImage` if something else has its name
  static func contents(ofGeneratedAt path: String) throws -> [UInt8] {
    guard [nil, .file].contains(PathKind(of: path)) else {
      throw EvaluationError.damagedImage(path: path, problem: "not a file")
    }
    return try RegularFile(path: path).readAll()
  }
}
