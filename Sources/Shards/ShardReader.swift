import Checkpoints
import Files

/// One shard open for reading.
///
/// Small data (pairs, labels) is read when the shard is opened; latents, embeddings and texts are
/// read on demand, one `pread` each. May be used from several threads.
public final class ShardReader: Sendable {
  public var path: String { file.path }
  public let layout: ShardLayout
  public let promptCount: Int
  public let imageCount: Int
  public var pairCount: Int { pairs.count }
  public let pairs: [ShardPair]
  /// The pairs of each prompt, which are consecutive.
  let pairRanges: [Range<Int>]
  private let textOffsets: [Int]
  private let isListed: [UInt8]
  private let file: SafetensorsFile
  private let latents: Rows
  private let logVariances: Rows?
  private let embeddings: Rows
  private let pooledTexts: Rows?

  /// A half-precision tensor as rows, located once by name.
  private struct Rows {
    let offset: Int
    let count: Int
    let rowByteCount: Int

    init(_ name: String, of file: SafetensorsFile) throws {
      let range = try file.byteRange(name)
      count = try file.entry(name).shape[0]
      offset = range.lowerBound
      rowByteCount = count == 0 ? 0 : range.count / count
    }
  }

  /// Opens a shard and checks that its tensors are consistent.
  public init(path: String, layout: ShardLayout) throws {
    let file = try SafetensorsFile(path: path)
    let prompts = try file.entry("input_ids").shape.first ?? 0
    let images = try file.entry("latents").shape.first ?? 0
    let pairs = try file.entry("pair_prompt").shape.first ?? 0
    for (name, type, shape) in Self.tensors(layout, prompts, images, pairs) {
      let entry = try file.entry(name)
      guard entry.type == type, entry.shape == shape else {
        throw ShardError.malformed(
          path: path,
          reason: "tensor \(name) is \(entry.type.rawValue) \(entry.shape), not "
            + "\(type.rawValue) \(shape)")
      }
    }
    self.file = file
    self.layout = layout
    latents = try Rows("latents", of: file)
    logVariances = try layout.hasLogVariance ? Rows("latent_log_variances", of: file) : nil
    embeddings = try Rows("prompt_embeddings", of: file)
    pooledTexts = try layout.pooledText.map { _ in try Rows("prompt_pooled", of: file) }
    promptCount = prompts
    imageCount = images
    textOffsets = try file.integers("prompt_text_offsets")
    isListed = try file.bytes("prompt_is_listed")
    self.pairs = try Self.readPairs(file, promptCount: prompts, imageCount: images)
    pairRanges = Self.ranges(of: self.pairs, promptCount: prompts)
    let textSize = try file.entry("prompt_text").byteCount
    guard textOffsets.first == 0, textOffsets.last == textSize,
      zip(textOffsets, textOffsets.dropFirst()).allSatisfy({ $0 <= $1 })
    else {
      throw ShardError.malformed(path: path, reason: "the prompts' text is not cut in order")
    }
  }

  private static func tensors(
    _ layout: ShardLayout, _ prompts: Int, _ images: Int, _ pairs: Int
  ) -> [(String, ElementType, [Int])] {
    var tensors: [(String, ElementType, [Int])] = [
      ("latents", .f16, [images] + layout.latentShape),
      ("prompt_embeddings", .f16, [prompts] + layout.embeddingShape),
      ("empty_embedding", .f16, [1] + layout.embeddingShape),
      ("input_ids", .i64, [prompts, layout.tokens]),
      ("prompt_text_offsets", .i64, [prompts + 1]), ("prompt_is_listed", .u8, [prompts]),
      ("pair_prompt", .i64, [pairs]), ("pair_image_0", .i64, [pairs]),
      ("pair_image_1", .i64, [pairs]), ("labels", .f32, [pairs, 2]),
      ("examples_per_prompt", .f32, [pairs]),
    ]
    if layout.hasLogVariance {
      tensors.append(("latent_log_variances", .f16, [images] + layout.latentShape))
    }
    if let pooled = layout.pooledText {
      tensors.append(("prompt_pooled", .f16, [prompts, pooled.width]))
      tensors.append(("empty_pooled", .f16, [1, pooled.width]))
    }
    return tensors
  }

  private static func readPairs(
    _ file: SafetensorsFile, promptCount: Int, imageCount: Int
  ) throws -> [ShardPair] {
    let prompts = try file.integers("pair_prompt")
    let images0 = try file.integers("pair_image_0")
    let images1 = try file.integers("pair_image_1")
    let labels = try file.floats("labels")
    let examples = try file.floats("examples_per_prompt")
    var last = 0
    return try prompts.indices.map { index in
      guard (last..<promptCount).contains(prompts[index]),
        (0..<imageCount).contains(images0[index]), (0..<imageCount).contains(images1[index])
      else {
        throw ShardError.malformed(
          path: file.path, reason: "pair \(index) refers to a missing prompt or image")
      }
      last = prompts[index]
      return ShardPair(
        prompt: prompts[index], image0: images0[index], image1: images1[index],
        label0: labels[2 * index], label1: labels[2 * index + 1],
        examplesPerPrompt: examples[index])
    }
  }

  private static func ranges(of pairs: [ShardPair], promptCount: Int) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var next = 0
    for prompt in 0..<promptCount {
      let start = next
      while next < pairs.count, pairs[next].prompt == prompt { next += 1 }
      ranges.append(start..<next)
    }
    return ranges
  }
}

/// A comparison of two images generated for one prompt, all given by index.
public struct ShardPair: Equatable, Sendable {
  public var prompt: Int
  public var image0: Int
  public var image1: Int
  /// (1, 0) if the first is preferred, (0, 1) if the second, (0.5, 0.5) for a tie.
  public var label0: Float
  public var label1: Float
  /// The number of comparisons in the source that share the prompt: a pair's weight is the inverse.
  public var examplesPerPrompt: Float

  /// A row without a label has (0, 0), which is not a tie.
  public var isTie: Bool { label0 == 0.5 && label1 == 0.5 }

  public init(
    prompt: Int, image0: Int, image1: Int, label0: Float, label1: Float, examplesPerPrompt: Float
  ) {
    self.prompt = prompt
    self.image0 = image0
    self.image1 = image1
    self.label0 = label0
    self.label1 = label1
    self.examplesPerPrompt = examplesPerPrompt
  }
}

/// A prompt and its token ids.
public struct ShardPrompt: Equatable, Sendable {
  public var text: String
  /// As many as the tokenizer's length.
  public var inputIDs: [Int]
  /// Whether it comes from a list of prompts.
  public var isListed: Bool
  /// The indices of its pairs.
  public var pairs: Range<Int>

  public init(text: String, inputIDs: [Int], isListed: Bool, pairs: Range<Int>) {
    self.text = text
    self.inputIDs = inputIDs
    self.isListed = isListed
    self.pairs = pairs
  }
}

// MARK: - Values

extension ShardReader {
  /// The prompts that come from a list of prompts.
  var listedPrompts: [Int] { isListed.indices.filter { isListed[$0] != 0 } }

  public func prompt(_ index: Int) throws -> ShardPrompt {
    let text = textOffsets[index]..<textOffsets[index + 1]
    var bytes = [UInt8](repeating: 0, count: text.count)
    try bytes.withUnsafeMutableBytes {
      try file.read("prompt_text", from: text.lowerBound, into: $0)
    }
    var ids = [Int](repeating: 0, count: layout.tokens)
    try ids.withUnsafeMutableBytes {
      try file.read("input_ids", from: 8 * layout.tokens * index, into: $0)
    }
    return ShardPrompt(
      text: String(decoding: bytes, as: UTF8.self), inputIDs: ids, isListed: isListed[index] != 0,
      pairs: pairRanges[index])
  }

  /// Fills `destination` with an image's scaled latent, `[channels, height, width]`.
  public func readLatent(
    _ image: Int, into destination: UnsafeMutableBufferPointer<Float>
  ) throws { try read(latents, row: image, into: destination) }

  /// Fills `destination` with the log-variance of an image's scaled latent, which the layout must have.
  public func readLogVariance(
    _ image: Int, into destination: UnsafeMutableBufferPointer<Float>
  ) throws { try read(logVariances, row: image, into: destination) }

  /// Fills `destination` with a prompt's embedding, `[tokens, width]`.
  public func readEmbedding(
    ofPrompt prompt: Int, into destination: UnsafeMutableBufferPointer<Float>
  ) throws { try read(embeddings, row: prompt, into: destination) }

  public func readEmptyEmbedding(into destination: UnsafeMutableBufferPointer<Float>) throws {
    try read(Rows("empty_embedding", of: file), row: 0, into: destination)
  }

  /// Fills `destination` with a prompt's pooled text, which the layout must have.
  public func readPooledText(
    ofPrompt prompt: Int, into destination: UnsafeMutableBufferPointer<Float>
  ) throws { try read(pooledTexts, row: prompt, into: destination) }

  public func readEmptyPooledText(into destination: UnsafeMutableBufferPointer<Float>) throws {
    try read(Rows("empty_pooled", of: file), row: 0, into: destination)
  }

  private func read(
    _ rows: Rows?, row: Int, into destination: UnsafeMutableBufferPointer<Float>
  ) throws {
    guard let rows else { preconditionFailure("the layout has no such tensor") }
    precondition(
      row >= 0 && row < rows.count && 2 * destination.count == rows.rowByteCount,
      "row \(row) of \(rows.count), \(rows.rowByteCount) bytes into \(destination.count) places")
    try withUnsafeTemporaryAllocation(of: Float16.self, capacity: destination.count) { halves in
      let bytes = UnsafeMutableRawBufferPointer(halves)
      try file.read(at: rows.offset + row * bytes.count, into: bytes)
      for index in halves.indices { destination[index] = Float(halves[index]) }
    }
  }
}
