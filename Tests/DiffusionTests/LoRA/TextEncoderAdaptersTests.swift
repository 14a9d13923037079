import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import TestSupport
import Testing

@Suite("LoRA files for text encoders")
struct TextEncoderAdaptersTests {
  private let model = ModelFolder(path: fixturePath("sample/model"))
  private let layer = "text_model.encoder.layers.0.self_attn.q_proj"

  /// Returns the embedding of a prompt with a file that adapts one layer; down and up have rank 2.
  private func states(
    _ down: String, _ up: String, metadata: [String: String] = [:]
  ) throws -> [Float] {
    let width = try model.textEncoder().model.configuration.transformer.width
    return try withTemporaryFolder { folder in
      let path = "\(folder)/lora.safetensors"
      try writeSafetensors(
        [
          OutgoingTensor(down, shape: [2, width], floats: { (0..<2 * width).map { sinf($0) } }),
          OutgoingTensor(up, shape: [width, 2], floats: { (0..<2 * width).map { sinf($0 + 7) } }),
        ], metadata: metadata, to: path)
      let adapters = ModelAdapters()
      try LoRAFile(path: path).add(to: adapters)
      let encoder = try PromptEncoder(model, adapters: adapters)
      try adapters.requireAllMatched()
      return try encoder(["a red circle"]).hiddenStates.values
    }
  }

  private func sinf(_ place: Int) -> Float { Float(place * 37 % 11) / 11 - 0.5 }

  @Test("every spelling adds the same to a text encoder")
  func spellings() throws {
    let plain = try PromptEncoder(model)(["a red circle"]).hiddenStates.values
    let module = layer.replacing(".", with: "_")
    let expected = try states(
      "text_encoder.\(layer).lora_linear_layer.down.weight",
      "text_encoder.\(layer).lora_linear_layer.up.weight")
    #expect(expected != plain)
    for (down, up) in [
      ("lora_te_\(module).lora_down.weight", "lora_te_\(module).lora_up.weight"),
      ("lora_te1_\(module).lora_down.weight", "lora_te1_\(module).lora_up.weight"),
      ("text_encoder.\(layer).lora_A.weight", "text_encoder.\(layer).lora_B.weight"),
      (
        "text_encoder.\(layer.dropFirst(11)).lora_A.weight",
        "text_encoder.\(layer.dropFirst(11)).lora_B.weight"
      ),
      ("base_model.model.\(layer).lora_A.weight", "base_model.model.\(layer).lora_B.weight"),
    ] {
      #expect(try states(down, up) == expected, "\(down)")
    }
  }

  @Test("scales stabilised by rank divide by its root")
  func stabilised() throws {
    let keys = ("text_encoder.\(layer).lora_A.weight", "text_encoder.\(layer).lora_B.weight")
    func header(_ text: String) -> [String: String] { ["lora_adapter_metadata": text] }
    let expected = try states(keys.0, keys.1, metadata: header("{\"text_encoder.lora_alpha\": 4}"))
    let found = try states(
      keys.0, keys.1,
      metadata: header(
        "{\"text_encoder.lora_alpha\": 2.8284271, \"text_encoder.use_rslora\": true}"))
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-4 })
    #expect(try found != states(keys.0, keys.1))
  }

  @Test("an encoder that the model does not have is told")
  func unmatched() throws {
    let module = layer.replacing(".", with: "_")
    #expect(throws: AdapterError.self) {
      try states("lora_te2_\(module).lora_down.weight", "lora_te2_\(module).lora_up.weight")
    }
  }
}
