import Checkpoints

/// Translations of weight names from Stability's own code to diffusers.
///
/// Each function takes a name without the prefix of its part and returns nil if it is not a weight
/// of the part. Source: diffusers' `scripts/convert_original_stable_diffusion_to_diffusers.py`.
enum LDMNames {
  /// Translates names of the U-Net (`model.diffusion_model.`).
  ///
  ///     input_blocks.{1 + (L + 1) i + j}.0    down_blocks.i.resnets.j        of L layers a block
  ///     input_blocks.{1 + (L + 1) i + j}.1    down_blocks.i.attentions.j
  ///     input_blocks.{(L + 1) (i + 1)}.0.op   down_blocks.i.downsamplers.0.conv
  ///     output_blocks.{(L + 1) i + j}.0       up_blocks.i.resnets.j, and so on
  static func unet(_ name: String, layersPerBlock: Int) -> String? {
    for (old, new) in unetEnds where name.hasPrefix(old) {
      return new + name.dropFirst(old.count)
    }
    let words = name.split(separator: ".", maxSplits: 3)
    guard words.count == 4, let block = Int(words[1]), let member = Int(words[2]) else {
      return nil
    }
    let rest = String(words[3])
    let stride = layersPerBlock + 1
    switch words[0] {
    case "input_blocks" where block >= 1:
      let (level, layer) = (block - 1).quotientAndRemainder(dividingBy: stride)
      if rest.hasPrefix("op.") {
        return "down_blocks.\(level).downsamplers.0.conv.\(rest.dropFirst(3))"
      }
      return unetMember("down_blocks.\(level)", layer, member, rest)
    case "output_blocks":
      let (level, layer) = block.quotientAndRemainder(dividingBy: stride)
      // After the residual block, or after the attention if there is one.
      if rest.hasPrefix("conv.") { return "up_blocks.\(level).upsamplers.0.\(rest)" }
      return unetMember("up_blocks.\(level)", layer, member, rest)
    default: return nil
    }
  }

  private static func unetMember(
    _ block: String, _ layer: Int, _ member: Int, _ rest: String
  ) -> String {
    member == 0
      ? "\(block).resnets.\(layer).\(unetResnet(rest))" : "\(block).attentions.\(layer).\(rest)"
  }

  private static func unetResnet(_ rest: String) -> String {
    for (old, new) in resnetParts where rest.hasPrefix(old) {
      return new + rest.dropFirst(old.count)
    }
    return rest
  }

  private static let resnetParts = [
    ("in_layers.0.", "norm1."), ("in_layers.2.", "conv1."), ("emb_layers.1.", "time_emb_proj."),
    ("out_layers.0.", "norm2."), ("out_layers.3.", "conv2."),
    ("skip_connection.", "conv_shortcut."),
  ]

  private static let unetEnds =
    [
      ("time_embed.0.", "time_embedding.linear_1."), ("time_embed.2.", "time_embedding.linear_2."),
      ("label_emb.0.0.", "add_embedding.linear_1."), ("label_emb.0.2.", "add_embedding.linear_2."),
      ("input_blocks.0.0.", "conv_in."), ("out.0.", "conv_norm_out."), ("out.2.", "conv_out."),
      ("middle_block.1.", "mid_block.attentions.0."),
    ]
    + [(0, 0), (2, 1)].flatMap { old, new in
      resnetParts.map { ("middle_block.\(old).\($0)", "mid_block.resnets.\(new).\($1)") }
    }

  /// Translates names of the autoencoder (`first_stage_model.`), whose up path is numbered from the
  /// top.
  static func autoencoder(_ name: String, levels: Int) -> String? {
    if name.hasPrefix("quant_conv.") || name.hasPrefix("post_quant_conv.") { return name }
    let words = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard words.count >= 3, words[0] == "encoder" || words[0] == "decoder" else { return nil }
    let half = words[0]
    func joined(_ block: String, _ first: Int) -> String {
      let rest = words[first...].joined(separator: ".")
      return "\(half).\(block).\(rest.replacing(prefix: "nin_shortcut.", with: "conv_shortcut."))"
    }
    switch words[1] {
    case "conv_in", "conv_out": return name
    case "norm_out": return joined("conv_norm_out", 2)
    case "mid":
      switch words[2] {
      case "block_1": return joined("mid_block.resnets.0", 3)
      case "block_2": return joined("mid_block.resnets.1", 3)
      case "attn_1":
        guard words.count == 5, let part = attentionParts[words[3]] else { return nil }
        return "\(half).mid_block.attentions.0.\(part).\(words[4])"
      default: return nil
      }
    case "down", "up":
      guard words.count >= 6, let number = Int(words[2]), number < levels else { return nil }
      let level = words[1] == "down" ? number : levels - 1 - number
      let block = "\(words[1])_blocks.\(level)"
      switch words[3] {
      case "block": return joined("\(block).resnets.\(words[4])", 5)
      case "downsample", "upsample": return joined("\(block).\(words[3])rs.0", 4)
      default: return nil
      }
    default: return nil
    }
  }

  private static let attentionParts = [
    "norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0",
  ]

  /// Returns the origins of an autoencoder's weights, by diffusers' names.
  ///
  /// The original attention consists of convolutions, diffusers' of linear layers.
  static func autoencoderOrigins(
    in source: any CheckpointSource, prefix: String
  ) throws -> [String: RenamedCheckpoint.Origin] {
    var levels = 0
    while source.find("\(prefix)encoder.down.\(levels).block.0.conv1.weight") != nil { levels += 1 }
    return try RenamedCheckpoint.origins(in: source, prefix: prefix) { name, entry in
      guard let new = autoencoder(name, levels: levels) else { return [:] }
      return [new: .init(name: entry.name, isFlattened: isAutoencoderProjection(entry.name))]
    }
  }

  /// Whether an original name of the autoencoder is a linear weight of its attention.
  private static func isAutoencoderProjection(_ name: String) -> Bool {
    name.contains(".attn_1.") && name.hasSuffix(".weight") && !name.hasSuffix(".norm.weight")
  }

  /// Translates names of an OpenCLIP text encoder (`conditioner.embedders.1.model.`).
  ///
  /// `in_proj_weight` and `in_proj_bias` stack query, key and value; `text_projection` is
  /// transposed.
  ///
  /// - Parameter rows: the first extent of the tensor
  static func openCLIP(_ name: String, rows: Int) -> [String: RenamedCheckpoint.Origin] {
    if name == "text_projection" {
      return ["text_projection.weight": .init(name: name, isTransposed: true)]
    }
    for (old, new) in openCLIPEnds where name.hasPrefix(old) {
      return ["text_model.\(new)\(name.dropFirst(old.count))": .init(name: name)]
    }
    let words = name.split(separator: ".", maxSplits: 3)
    guard words.count == 4, words[0] == "transformer", words[1] == "resblocks" else { return [:] }
    let layer = "text_model.encoder.layers.\(words[2])."
    let rest = String(words[3])
    if rest.hasPrefix("attn.in_proj_"), rows.isMultiple(of: 3) {
      let width = rows / 3
      let kind = rest.dropFirst("attn.in_proj_".count)
      return Dictionary(
        uniqueKeysWithValues: ["q", "k", "v"].enumerated().map { index, letter in
          (
            "\(layer)self_attn.\(letter)_proj.\(kind)",
            .init(name: name, rows: index * width..<(index + 1) * width)
          )
        })
    }
    for (old, new) in openCLIPParts where rest.hasPrefix(old) {
      return ["\(layer)\(new)\(rest.dropFirst(old.count))": .init(name: name)]
    }
    return [:]
  }

  private static let openCLIPEnds = [
    ("token_embedding.", "embeddings.token_embedding."),
    ("positional_embedding", "embeddings.position_embedding.weight"),
    ("ln_final.", "final_layer_norm."),
  ]

  private static let openCLIPParts = [
    ("ln_1.", "layer_norm1."), ("ln_2.", "layer_norm2."), ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."), ("attn.out_proj.", "self_attn.out_proj."),
  ]
}

extension String {
  fileprivate func replacing(prefix: String, with replacement: String) -> String {
    hasPrefix(prefix) ? replacement + dropFirst(prefix.count) : self
  }
}
