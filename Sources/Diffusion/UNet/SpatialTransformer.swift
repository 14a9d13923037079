import Autograd
import NN

/// Self-attention over the positions of an image and cross-attention to the prompt.
///
/// - Input: `[batch, height, width, channels]`, context `[rows, tokens, contextWidth]`: one row per
///   image; or several per image, the first for all images, then the next
/// - Output: `[rows, height, width, channels]`
/// - Keys: `norm`, `proj_in`, `transformer_blocks.N`, `proj_out`
/// - Source: Rombach et al. 2022, arXiv 2112.10752, appendix E.2.1; diffusers' `Transformer2DModel`
struct SpatialTransformer {
  let norm: GroupNorm
  let inputProjection: Linear
  let blocks: [TransformerBlock]
  let outputProjection: Linear

  init(
    _ weights: Weights, channels: Int, heads: Int, layers: Int, contextWidth: Int, groups: Int
  ) throws {
    norm = try GroupNorm(weights["norm"], channels: channels, groups: groups, epsilon: 1e-6)
    // A 1 x 1 convolution in older checkpoints, equivalent to a linear layer over channels-last
    // images.
    inputProjection = try Linear(weights["proj_in"], inputs: channels, outputs: channels)
    blocks = try (0..<layers).map { index in
      try TransformerBlock(
        weights["transformer_blocks"][index], width: channels, heads: heads,
        contextWidth: contextWidth)
    }
    outputProjection = try Linear(weights["proj_out"], inputs: channels, outputs: channels)
  }

  /// - Parameter isCheckpointed: whether each block is recomputed in the backward pass
  func callAsFunction(_ x: Tensor, context: Tensor, isCheckpointed: Bool) -> Tensor {
    let tokens = [x.shape[0], x.shape[1] * x.shape[2], x.shape[3]]
    var h = inputProjection(norm(x)).reshaped(to: tokens)  // [batch, height * width, channels]
    for block in blocks {
      h = checkpointed([h, context], if: isCheckpointed) { block($0[0], context: $0[1]) }
    }
    let result = outputProjection(h).reshaped(to: [context.shape[0]] + x.shape.dropFirst())
    return x.spread(to: context.shape[0]) + result
  }
}

/// Self-attention, cross-attention to the prompt and a gated feed-forward layer, each with a
/// residual.
///
/// - Keys: `norm1`, `attn1`, `norm2`, `attn2`, `norm3`, `ff.net.0.proj`, `ff.net.2`
/// - Source: diffusers' `BasicTransformerBlock`
struct TransformerBlock {
  let norm1: LayerNorm
  let selfAttention: MultiHeadAttention
  let norm2: LayerNorm
  let crossAttention: MultiHeadAttention
  let norm3: LayerNorm
  let expand: Linear
  let contract: Linear

  init(_ weights: Weights, width: Int, heads: Int, contextWidth: Int) throws {
    norm1 = try LayerNorm(weights["norm1"], width: width)
    selfAttention = try MultiHeadAttention(
      weights["attn1"], width: width, contextWidth: width, heads: heads, hasInputBias: false)
    norm2 = try LayerNorm(weights["norm2"], width: width)
    crossAttention = try MultiHeadAttention(
      weights["attn2"], width: width, contextWidth: contextWidth, heads: heads,
      hasInputBias: false)
    norm3 = try LayerNorm(weights["norm3"], width: width)
    let net = weights["ff"]["net"]
    expand = try Linear(net[0]["proj"], inputs: width, outputs: 8 * width)
    contract = try Linear(net[2], inputs: 4 * width, outputs: width)
  }

  func callAsFunction(_ input: Tensor, context: Tensor) -> Tensor {
    var x = input
    let normalized = norm1(x)
    x = x + selfAttention(normalized, context: normalized)
    // Up to here nothing depends on a prompt.
    x = x.spread(to: context.shape[0])
    x = x + crossAttention(norm2(x), context: context)
    return x + contract(gatedGELU(expand(norm3(x))))
  }
}

extension Tensor {
  /// Repeats the rows of the first axis until there are `count`.
  func spread(to count: Int) -> Tensor {
    count == shape[0] ? self : repeated(count / shape[0])
  }
}

/// Attention with learned projections.
///
/// - Input: `[batch, queries, width]`, context `[batch, keys, contextWidth]`
/// - Output: `[batch, queries, width]`
/// - Keys: `to_q`, `to_k`, `to_v`, `to_out.0`
/// - Source: diffusers' `Attention`
struct MultiHeadAttention {
  let query: Linear
  let key: Linear
  let value: Linear
  let output: Linear
  let heads: Int

  init(
    _ weights: Weights, width: Int, contextWidth: Int, heads: Int, hasInputBias: Bool
  ) throws {
    query = try Linear(weights["to_q"], inputs: width, outputs: width, hasBias: hasInputBias)
    key = try Linear(weights["to_k"], inputs: contextWidth, outputs: width, hasBias: hasInputBias)
    value = try Linear(
      weights["to_v"], inputs: contextWidth, outputs: width, hasBias: hasInputBias)
    output = try Linear(weights["to_out"][0], inputs: width, outputs: width)
    self.heads = heads
  }

  func callAsFunction(_ x: Tensor, context: Tensor) -> Tensor {
    output(attention(query: query(x), key: key(context), value: value(context), heads: heads))
  }
}
