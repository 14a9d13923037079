import Checkpoints

/// The contents of one shard: prompts with everything that belongs to them.
///
/// `README.md` in this folder describes the tensors of the file. Values from encoders are
/// little-endian half-precision numbers, ready to be written.
public struct ShardContents {
  public let layout: ShardLayout
  public let emptyEmbedding: [UInt8]
  public let emptyPooledText: [UInt8]
  public private(set) var promptCount = 0
  public private(set) var imageCount = 0
  public private(set) var pairCount = 0

  private var texts: [UInt8] = []
  private var textOffsets = [0]
  private var isListed: [UInt8] = []
  private var inputIDs: [Int] = []
  private var embeddings: [UInt8] = []
  private var pooledTexts: [UInt8] = []
  private var latents: [UInt8] = []
  private var logVariances: [UInt8] = []
  private var pairPrompts: [Int] = []
  private var pairImages: ([Int], [Int]) = ([], [])
  private var labels: [Float] = []
  private var examplesPerPrompt: [Float] = []

  /// - Parameters:
  ///   - emptyEmbedding: of the empty prompt, `[tokens, width]`
  ///   - emptyPooledText: of the empty prompt; empty if the layout has no pooled text
  public init(layout: ShardLayout, emptyEmbedding: [UInt8], emptyPooledText: [UInt8] = []) {
    precondition(
      emptyEmbedding.count == 2 * layout.embeddingCount
        && emptyPooledText.count == 2 * layout.pooledWidth,
      "an embedding of \(emptyEmbedding.count) bytes, pooled text of \(emptyPooledText.count)")
    self.layout = layout
    self.emptyEmbedding = emptyEmbedding
    self.emptyPooledText = emptyPooledText
  }

  /// Reserves memory up front: arrays that grow need up to three times as much.
  public mutating func reserveCapacity(prompts: Int, images: Int) {
    inputIDs.reserveCapacity(prompts * layout.tokens)
    embeddings.reserveCapacity(2 * prompts * layout.embeddingCount)
    pooledTexts.reserveCapacity(2 * prompts * layout.pooledWidth)
    latents.reserveCapacity(2 * images * layout.latentCount)
    if layout.hasLogVariance { logVariances.reserveCapacity(2 * images * layout.latentCount) }
  }

  /// Adds a prompt, to which the following pairs belong.
  ///
  /// - Parameters:
  ///   - isListed: whether the prompt comes from a list of prompts
  ///   - embedding: `[tokens, width]`
  ///   - pooledText: empty if the layout has none
  public mutating func addPrompt(
    _ text: String, isListed: Bool, inputIDs ids: [Int], embedding: [UInt8],
    pooledText: [UInt8] = []
  ) {
    precondition(
      ids.count == layout.tokens && embedding.count == 2 * layout.embeddingCount
        && pooledText.count == 2 * layout.pooledWidth,
      "\(ids.count) tokens, an embedding of \(embedding.count) bytes, pooled text of "
        + "\(pooledText.count)")
    texts += text.utf8
    textOffsets.append(texts.count)
    self.isListed.append(isListed ? 1 : 0)
    inputIDs += ids
    embeddings += embedding
    pooledTexts += pooledText
    promptCount += 1
  }

  /// Adds an image; returns its index in the shard.
  ///
  /// - Parameters:
  ///   - latent: `[channels, height, width]`, scaled
  ///   - logVariance: of the scaled latent, the same shape; empty if the layout has none
  public mutating func addImage(latent: [UInt8], logVariance: [UInt8] = []) -> Int {
    precondition(
      latent.count == 2 * layout.latentCount
        && logVariance.count == (layout.hasLogVariance ? latent.count : 0),
      "a latent of \(latent.count) bytes, a log-variance of \(logVariance.count)")
    latents += latent
    logVariances += logVariance
    imageCount += 1
    return imageCount - 1
  }

  /// Adds a comparison of two images that were added, made for the last prompt.
  public mutating func addPair(
    image0: Int, image1: Int, label0: Float, label1: Float, examplesPerPrompt examples: Float
  ) {
    precondition(promptCount > 0 && max(image0, image1) < imageCount, "no such prompt or image")
    pairPrompts.append(promptCount - 1)
    pairImages.0.append(image0)
    pairImages.1.append(image1)
    labels += [label0, label1]
    examplesPerPrompt.append(examples)
    pairCount += 1
  }

  /// Writes the shard atomically; equal contents give equal bytes.
  public func write(to path: String) throws {
    let latentShape = [imageCount] + layout.latentShape
    var tensors = [
      half("latents", latentShape, latents),
      half("prompt_embeddings", [promptCount] + layout.embeddingShape, embeddings),
      half("empty_embedding", [1] + layout.embeddingShape, emptyEmbedding),
      OutgoingTensor("input_ids", shape: [promptCount, layout.tokens], integers: inputIDs),
      OutgoingTensor("prompt_text_offsets", shape: [promptCount + 1], integers: textOffsets),
      OutgoingTensor("pair_prompt", shape: [pairCount], integers: pairPrompts),
      OutgoingTensor("pair_image_0", shape: [pairCount], integers: pairImages.0),
      OutgoingTensor("pair_image_1", shape: [pairCount], integers: pairImages.1),
      OutgoingTensor("labels", shape: [pairCount, 2], floats: { labels }),
      OutgoingTensor("examples_per_prompt", shape: [pairCount], floats: { examplesPerPrompt }),
      OutgoingTensor("prompt_text", type: .u8, shape: [texts.count], bytes: { texts }),
      OutgoingTensor("prompt_is_listed", type: .u8, shape: [promptCount], bytes: { isListed }),
    ]
    if layout.hasLogVariance {
      tensors.append(half("latent_log_variances", latentShape, logVariances))
    }
    if layout.pooledText != nil {
      tensors.append(half("prompt_pooled", [promptCount, layout.pooledWidth], pooledTexts))
      tensors.append(half("empty_pooled", [1, layout.pooledWidth], emptyPooledText))
    }
    try writeSafetensors(tensors, metadata: ["format": ShardIndex.format], to: path)
  }

  private func half(_ name: String, _ shape: [Int], _ bytes: [UInt8]) -> OutgoingTensor {
    OutgoingTensor(name, type: .f16, shape: shape, bytes: { bytes })
  }
}
