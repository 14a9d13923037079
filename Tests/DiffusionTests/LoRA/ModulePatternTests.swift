import Checkpoints
import Diffusion
import NN
import TestSupport
import Testing

/// The patterns of PEFT's `alpha_pattern`, against `re.match(rf"(.*\\.)?({pattern})$", path)`.
@Suite struct ModulePatternTests {
  private static let path = "down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q"

  @Test(
    "a pattern names a module by its whole path or by what follows a dot",
    arguments: [
      (path, true), ("^\(path)", true), ("^\(path)$", true), ("to_q", true), ("to_q$", true),
      ("attn1.to_q", true), (#"attn1\.to_q"#, true), ("attn1.to_.", true), (".*to_q", true),
      ("down_blocks.*to_q", true), (#"down_blocks\.\d+\..*"#, true), ("attn1?.to_q", true),
      ("at*n1.to_q+", true), (".*?to_q", true), (#"\w+"#, true), (#"attn\d.to_q"#, true),
      (".*", true), ("", false),
      ("q", false), ("_q", false), ("^to_q", false), ("^attn1.to_q", false), ("to", false),
      ("attn1", false), ("attn2.to_q", false), ("ttn1.to_q", false), (#"to\.q"#, false),
      ("mid_block.*to_q", false), ("to_q.", false), (#"\d+"#, false), ("x\(path)", false),
    ])
  func matches(pattern: String, isMatch: Bool) throws {
    #expect(try #require(ModulePattern(pattern)).matches(Self.path) == isMatch)
  }

  @Test(
    "what else regular expressions have is known not to be supported",
    arguments: [
      "to_(q|k)", "to_[qk]", "a{2}", "to_q|to_k", #"to\b"#, "a**", "a*??", "*a", "a$b", "a^",
      #"a\"#,
    ])
  func unsupported(pattern: String) { #expect(ModulePattern(pattern) == nil) }

  @Test("a pattern of many repetitions takes no time that grows with their number")
  func hostile() throws {
    let pattern = try #require(ModulePattern(String(repeating: ".*a", count: 200)))
    #expect(!pattern.matches(String(repeating: "a", count: 2_000) + "b"))
  }

  @Test("a file without a module of the U-Net is refused where only the U-Net is")
  func textEncoderAlone() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/lora.safetensors"
      let stem = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
      try writeSafetensors(
        ["down", "up"].map {
          OutgoingTensor("\(stem).lora_\($0).weight", shape: [1, 1], floats: { [1] })
        }, to: path)
      #expect(throws: LoRAError.noUNet(path: path)) {
        try LoRAFile(path: path).requireUNet()
      }
    }
  }

  @Test("a pattern's alpha is that of the modules it names, and one that is not understood refused")
  func patterns() throws {
    let path = "mid_block.attentions.0.transformer_blocks.0.attn1"
    func tensor(_ name: String, _ shape: [Int]) -> OutgoingTensor {
      OutgoingTensor(name, shape: shape, floats: { [Float](repeating: 1, count: 16) })
    }
    func scales(_ patterns: String) throws -> [Float] {
      try withTemporaryFolder { folder in
        let file = "\(folder)/lora.safetensors"
        try writeSafetensors(
          ["to_k", "to_q"].flatMap {
            [
              tensor("unet.\(path).\($0).lora_A.weight", [2, 8]),
              tensor("unet.\(path).\($0).lora_B.weight", [8, 2]),
            ]
          },
          metadata: [
            "lora_adapter_metadata": """
            {"unet.lora_alpha": 4, "unet.alpha_pattern": {\(patterns)}}
            """
          ], to: file)
        return try LoRAFile(path: file).weights(
          for: try ModelFolder(path: fixturePath("lora")).unetLayers()
        ).modules.map {
          $0.up[0]
        }
      }
    }
    #expect(try scales("") == [2, 2])
    #expect(try scales("\"^\(path).to_q\": 1") == [2, 0.5])
    #expect(try scales("\"^to_q\": 1") == [2, 2])
    #expect(try scales("\"attn1.to_q\": 8, \"to_.\": 2") == [1, 4])
    let error = try #require(
      #expect(throws: LoRAError.self) { try scales("\"to_(q|k)\": 1") })
    #expect("\(error)".contains("unet.alpha_pattern has the regular expression \"to_(q|k)\""))
  }
}
