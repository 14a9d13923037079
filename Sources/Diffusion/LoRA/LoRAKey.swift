import Foundation

/// The components of a LoRA file's key; all naming schemes in use give the same components.
struct LoRAKey: Equatable {
  /// The part of the model that a module belongs to, by the name of its folder.
  enum Component: String {
    case unet
    case textEncoder = "text_encoder"
    case secondTextEncoder = "text_encoder_2"

    /// The name for display.
    var text: String {
      switch self {
      case .unet: "U-Net"
      case .textEncoder: "text encoder"
      case .secondTextEncoder: "second text encoder"
      }
    }
  }

  enum Role: Hashable {
    case down
    case up
    case alpha
    /// Between down and up of a convolution (LoCon with a Tucker decomposition).
    case mid
    /// The row norms of the weight (DoRA).
    case magnitude
  }

  var component: Component
  /// The module's path in diffusers' names with `.` replaced by `_`: kohya's files do not
  /// distinguish the two.
  var module: String
  /// The module's path as the file has it.
  var path: String
  var role: Role

  /// - Returns: nil for a key of no known naming scheme
  init?(_ key: String) {
    guard let (component, rest) = Self.component(of: key),
      let (module, role) = Self.role(of: rest)
    else { return nil }
    self.component = component
    path = module
    let name = Self.normalized(module)
    switch component {
    case .unet: self.module = LDMBlockNames.diffusers(name)
    case .textEncoder, .secondTextEncoder:
      // Newer versions of transformers omit the first word.
      self.module = name.hasPrefix("encoder_") ? "text_model_\(name)" : name
    }
    self.role = role
  }

  /// Returns a module's path in a form comparable across naming schemes.
  static func normalized(_ path: String) -> String {
    path.replacingOccurrences(of: ".", with: "_")
  }

  /// Returns the known owner of a key that fits none of these schemes.
  static func foreignKind(of key: String) -> String? {
    // SDXL's; diffusers names the tensor after the word that it teaches.
    if ["clip_l", "clip_g"].contains(key) || key.hasPrefix("<") && key.hasSuffix(">") {
      return "a textual inversion"
    }
    // Anywhere but at the end it would match `model.diffusion_model`.
    if key.hasSuffix(".diff") { return "a full difference of weights" }
    let marks: [(String, String)] = [
      (".hada_", "LoHa"), (".lokr_", "LoKr"), (".boft_", "BOFT"), (".oft_", "OFT"),
      (".glora_", "GLoRA"), (".a1.weight", "GLoRA"), (".a2.weight", "GLoRA"),
      (".b1.weight", "GLoRA"), (".b2.weight", "GLoRA"), (".on_input", "(IA)^3"),
      (".w_norm", "a change of normalization layers"),
      (".b_norm", "a change of normalization layers"), (".diff_b", "a full difference of biases"),
      (".set_weight", "a replaced weight"),
      (".bias_indices", "a sparse bias"), (".bias_values", "a sparse bias"),
      (".bias_size", "a sparse bias"), ("bundle_emb.", "a textual inversion"),
      ("string_to_param", "a textual inversion"), ("emb_params", "a textual inversion"),
    ]
    return marks.first { key.contains($0.0) }?.1
  }

  private static func component(of key: String) -> (Component, String)? {
    let prefixes: [(String, Component)] = [
      ("unet.", .unet), ("text_encoder_2.", .secondTextEncoder), ("text_encoder.", .textEncoder),
      ("base_model.model.", .unet), ("lora_unet_", .unet), ("lora_te1_", .textEncoder),
      ("lora_te2_", .secondTextEncoder), ("lora_te_", .textEncoder),
    ]
    for (prefix, component) in prefixes where key.hasPrefix(prefix) {
      let rest = String(key.dropFirst(prefix.count))
      // PEFT's folders do not name the part; the first modules of text encoders do.
      let isOfText = ["text_model.", "encoder.layers."].contains(where: rest.hasPrefix)
      return (component == .unet && isOfText ? .textEncoder : component, rest)
    }
    // Files of a U-Net alone may have no prefix.
    let blocks = ["down_blocks.", "mid_block.", "up_blocks."]
    return blocks.contains(where: key.hasPrefix) ? (.unet, key) : nil
  }

  private static func role(of rest: String) -> (String, Role)? {
    let suffixes: [(String, Role)] = [
      (".lora.down.weight", .down), (".lora.up.weight", .up),
      (".lora_A.weight", .down), (".lora_B.weight", .up),
      (".lora_A.default.weight", .down), (".lora_B.default.weight", .up),
      (".lora_down.weight", .down), (".lora_up.weight", .up),
      (".lora_linear_layer.down.weight", .down), (".lora_linear_layer.up.weight", .up),
      ("_lora.down.weight", .down), ("_lora.up.weight", .up), (".alpha", .alpha),
      (".lora_mid.weight", .mid), (".dora_scale", .magnitude),
      (".lora_magnitude_vector", .magnitude), (".lora_magnitude_vector.weight", .magnitude),
      (".lora_magnitude_vector.default.weight", .magnitude),
    ]
    for (suffix, role) in suffixes where rest.hasSuffix(suffix) {
      var module = String(rest.dropLast(suffix.count))
      if suffix.hasPrefix("_lora") {
        // The oldest spelling: `attn1.processor.to_out_lora.up.weight` for `attn1.to_out.0`.
        module = module.replacingOccurrences(of: ".processor.", with: ".")
        if module.hasSuffix("to_out") { module += ".0" }
      }
      return (module, role)
    }
    return nil
  }
}
