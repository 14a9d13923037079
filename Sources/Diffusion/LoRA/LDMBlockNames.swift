/// The two naming schemes for a U-Net's modules: diffusers' and that of Stability's own code (sgm),
/// which LoRA files for SDXL use.
///
///     down_blocks_I_attentions_J   input_blocks_{1 + 3 I + J}_1    resnets: ..._0
///     mid_block_attentions_0       middle_block_1                  resnets: middle_block_0, _2
///     up_blocks_I_attentions_J     output_blocks_{3 I + J}_1       resnets: ..._0
///
/// Module names have `_` for `.`. Assumes two layers per block, as in all published models. The
/// convolutions between blocks, as in LoCon files, are read under both names and written only under
/// diffusers'.
package enum LDMBlockNames {
  static let layersPerBlock = 2
  private static let stride = layersPerBlock + 1

  package static func ldm(_ module: String) -> String {
    let words = module.split(separator: "_", omittingEmptySubsequences: false)
    if let name = ldmOfOthers(words) { return name }
    switch (words.starting(at: 0, "down", "blocks"), words.starting(at: 0, "up", "blocks")) {
    case (true, _), (_, true):
      guard words.count > 5, words[3] == "attentions", let block = Int(words[2]),
        let layer = Int(words[4]), (0..<16).contains(block), (0..<stride).contains(layer)
      else { return module }
      let isDown = words[0] == "down"
      let index = stride * block + layer + (isDown ? 1 : 0)
      return joined("\(isDown ? "input" : "output")_blocks_\(index)_1", words[5...])
    default:
      guard words.count > 4, words.starting(at: 0, "mid", "block"),
        words.starting(at: 2, "attentions", "0")
      else { return module }
      return joined("middle_block_1", words[4...])
    }
  }

  package static func diffusers(_ module: String) -> String {
    let words = module.split(separator: "_", omittingEmptySubsequences: false)
    if let name = diffusersOfOthers(words) { return name }
    if words.count > 3, words.starting(at: 0, "middle", "block"), words[2] == "1" {
      return joined("mid_block_attentions_0", words[3...])
    }
    guard words.count > 4, words[1] == "blocks", words[3] == "1", let index = Int(words[2]),
      (0..<64).contains(index)
    else { return module }
    switch words[0] {
    case "input" where index >= 1:
      let (block, layer) = (index - 1).quotientAndRemainder(dividingBy: stride)
      return joined("down_blocks_\(block)_attentions_\(layer)", words[4...])
    case "output":
      let (block, layer) = index.quotientAndRemainder(dividingBy: stride)
      return joined("up_blocks_\(block)_attentions_\(layer)", words[4...])
    default: return module
    }
  }

  /// Returns sgm's names of residual blocks, and of modules outside of blocks.
  private static func ldmOfOthers(_ words: [Substring]) -> String? {
    let module = words.joined(separator: "_")
    if let end = ends.first(where: { $0.value == module }) { return end.key }
    guard words.count > 5 || words.count > 4 && words[0] == "mid",
      case let place = words[0] == "mid" ? 2 : 3, words[place] == "resnets",
      let layer = Int(words[place + 1]), (0..<stride).contains(layer),
      case let rest = words[(place + 2)...].joined(separator: "_"),
      let part = resnetParts.first(where: { $0.value == rest })?.key
    else { return nil }
    if words.starting(at: 0, "mid", "block") { return "middle_block_\(2 * layer)_\(part)" }
    guard words[1] == "blocks", let block = Int(words[2]), (0..<16).contains(block) else {
      return nil
    }
    switch words[0] {
    case "down": return "input_blocks_\(stride * block + layer + 1)_0_\(part)"
    case "up": return "output_blocks_\(stride * block + layer)_0_\(part)"
    default: return nil
    }
  }

  /// Returns diffusers' names of residual blocks, downsamplers and upsamplers, and of modules
  /// outside of blocks.
  private static func diffusersOfOthers(_ words: [Substring]) -> String? {
    let module = words.joined(separator: "_")
    if let name = ends[module] { return name }
    if words.count > 4, words.starting(at: 0, "middle", "block"), let member = Int(words[2]),
      let part = resnetParts[words[3...].joined(separator: "_")]
    {
      return member == 0 || member == 2 ? "mid_block_resnets_\(member / 2)_\(part)" : nil
    }
    guard words.count > 4, words[1] == "blocks", let index = Int(words[2]),
      (0..<64).contains(index), let member = Int(words[3])
    else { return nil }
    let rest = words[4...].joined(separator: "_")
    switch words[0] {
    case "input" where index >= 1 && member == 0:
      let (block, layer) = (index - 1).quotientAndRemainder(dividingBy: stride)
      if rest == "op" { return "down_blocks_\(block)_downsamplers_0_conv" }
      return resnetParts[rest].map { "down_blocks_\(block)_resnets_\(layer)_\($0)" }
    case "output":
      let (block, layer) = index.quotientAndRemainder(dividingBy: stride)
      // After the residual block, or after the attention if there is one.
      if rest == "conv", member > 0 { return "up_blocks_\(block)_upsamplers_0_conv" }
      guard member == 0 else { return nil }
      return resnetParts[rest].map { "up_blocks_\(block)_resnets_\(layer)_\($0)" }
    default: return nil
    }
  }

  private static let resnetParts = [
    "in_layers_2": "conv1", "emb_layers_1": "time_emb_proj", "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
  ]

  private static let ends = [
    "input_blocks_0_0": "conv_in", "out_2": "conv_out",
    "time_embed_0": "time_embedding_linear_1", "time_embed_2": "time_embedding_linear_2",
    "label_emb_0_0": "add_embedding_linear_1", "label_emb_0_2": "add_embedding_linear_2",
  ]

  private static func joined(_ block: String, _ rest: ArraySlice<Substring>) -> String {
    ([Substring(block)] + rest).joined(separator: "_")
  }
}

extension [Substring] {
  fileprivate func starting(at index: Int, _ first: String, _ second: String) -> Bool {
    count > index + 1 && self[index] == first && self[index + 1] == second
  }
}
