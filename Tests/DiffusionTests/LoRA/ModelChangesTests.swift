import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import TestSupport
import Testing

/// Several LoRA files, of the U-Net and of the text encoder, merged into a model.
@Suite struct ModelChangesTests {
  private let model = ModelFolder(path: fixturePath("sample/model"))

  /// A LoRA of rank 2 and alpha 1 of the first layers of a part whose weight's name ends so.
  private func writeLoRA(
    to path: String, _ part: String, prefix: String, _ ending: String, phase: Float
  ) throws {
    let stem = part == "unet" ? "diffusion_pytorch_model" : "model"
    let weights = try SafetensorsFile(path: "\(model.path)/\(part)/\(stem).safetensors")
    func wave(_ count: Int, _ phase: Float) -> [Float] {
      (0..<count).map { sin(Float($0) + phase) }
    }
    let tensors = weights.entries.filter { $0.name.hasSuffix(ending + ".weight") }.prefix(3)
      .flatMap { entry in
        let name = prefix + entry.name.dropLast(".weight".count).replacing(".", with: "_")
        let (outputs, inputs) = (entry.shape[0], entry.shape[1])
        return [
          OutgoingTensor(
            "\(name).lora_down.weight", shape: [2, inputs], floats: { wave(2 * inputs, phase) }),
          OutgoingTensor(
            "\(name).lora_up.weight", shape: [outputs, 2], floats: { wave(2 * outputs, phase + 1) }),
          OutgoingTensor("\(name).alpha", shape: [], floats: { [1] }),
        ]
      }
    #expect(!tensors.isEmpty)
    try writeSafetensors(tensors, to: path)
  }

  private func outputs(
    _ model: ModelFolder, _ adapters: ModelAdapters? = nil
  ) throws -> (states: [Float], noise: [Float]) {
    let states = try PromptEncoder(model, adapters: adapters)(["a red circle"]).hiddenStates
    let unet = try model.unet(adapters: adapters?["unet"]).model
    let sample = Tensor((0..<64 * 4).map { sin(Float($0)) }, shape: [1, 8, 8, 4])
    let noise = unet(sample, timesteps: [901], conditioning: Conditioning(states))
    return (states.values, noise.values)
  }

  private func difference(_ a: [Float], _ b: [Float]) -> Float {
    (zip(a, b).map { abs($0 - $1) }.max() ?? .infinity) / (b.map(abs).max() ?? 0)
  }

  @Test("the merged model predicts what the model with all files at their strengths predicts")
  func merged() throws {
    try withTemporaryFolder { folder in
      let files = ["one", "two", "text"].map { "\(folder)/\($0).safetensors" }
      try writeLoRA(to: files[0], "unet", prefix: "lora_unet_", ".to_q", phase: 0)
      try writeLoRA(to: files[1], "unet", prefix: "lora_unet_", ".to_q", phase: 2)
      try writeLoRA(to: files[2], "text_encoder", prefix: "lora_te_", ".q_proj", phase: 4)
      let strengths: [Float] = [0.8, -0.4, 0.5]
      let adapters = ModelAdapters()
      var changes = ModelChanges()
      for (path, strength) in zip(files, strengths) {
        try LoRAFile(path: path).add(to: adapters, strength: strength)
        try changes.add(try LoRAFile(path: path), strength: strength, to: model)
      }
      try model.writeMerged(changes, precision: .f32, to: "\(folder)/merged")
      let expected = try outputs(model, adapters)
      let found = try outputs(ModelFolder(path: "\(folder)/merged"))
      let plain = try outputs(model)
      #expect(difference(found.states, expected.states) < 1e-5)
      #expect(difference(found.noise, expected.noise) < 1e-5)
      #expect(difference(plain.states, expected.states) > 1e-2)
      #expect(difference(plain.noise, expected.noise) > 1e-2)
    }
  }

  @Test("a text encoder that the model does not have, or another one, is named")
  func misfit() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.safetensors"
      for (prefix, words) in [
        ("lora_te2_", "second text encoder, but the model has none"),
        ("lora_te_other_", "linear layer of the model's text encoder"),
      ] {
        try writeLoRA(to: path, "text_encoder", prefix: prefix, ".q_proj", phase: 0)
        var changes = ModelChanges()
        let error = #expect(throws: LoRAError.self) {
          try changes.add(try LoRAFile(path: path), to: model)
        }
        #expect("\(error.map { "\($0)" } ?? "")".contains(words))
      }
    }
  }
}
