import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import RandomStreams
import TestSupport
import Testing

/// Numbers that are NaN or infinite end in an error that says where they are or where they came up.
@Suite struct NonFiniteTests {
  private func draw(
    _ model: ModelFolder, adapters: ModelAdapters? = nil,
    _ change: (inout TextToImage.Request) -> Void = { _ in }
  ) throws {
    var request = TextToImage.Request(prompt: "a red circle")
    request.steps = 3
    change(&request)
    try TextToImage.draw(
      request, of: model, adapters: adapters, from: [TorchCPUGenerator(seed: 1)]
    ) { _, _ in }
  }

  /// Rewrites a safetensors file with one number of one tensor replaced.
  private func poison(
    _ path: String, _ tensor: String, at position: Int, with value: Float, type: ElementType
  ) throws {
    let file = try SafetensorsFile(path: path)
    let bytes = try Dictionary(
      uniqueKeysWithValues: file.entries.map { ($0.name, try file.bytes($0.name)) })
    var numbers = try file.floats(tensor)
    numbers[position] = value
    let poisoned = numbers
    try FileManager.default.removeItem(atPath: path)
    try writeSafetensors(
      file.entries.map { entry in
        entry.name == tensor
          ? OutgoingTensor(entry.name, type: type, shape: entry.shape, floats: { poisoned })
          : OutgoingTensor(
            entry.name, type: entry.type, shape: entry.shape, bytes: { bytes[entry.name] ?? [] })
      }, to: path)
  }

  struct Poison: CustomTestStringConvertible, Sendable {
    let file: String
    let tensor: String
    let position: Int
    let value: Float
    var type = ElementType.f32
    var testDescription: String { "\(file) \(tensor) \(value) \(type)" }
  }

  @Test(
    "weights that are not finite are refused by file, tensor and place",
    arguments: [
      Poison(
        file: "unet/diffusion_pytorch_model.safetensors", tensor: "conv_out.weight", position: 0,
        value: .nan),
      Poison(
        file: "unet/diffusion_pytorch_model.safetensors", tensor: "conv_in.bias", position: 2,
        value: -.infinity, type: .f16),
      Poison(
        file: "vae/diffusion_pytorch_model.safetensors", tensor: "decoder.conv_in.weight",
        position: 5, value: .infinity, type: .bf16),
      Poison(
        file: "text_encoder/model.safetensors",
        tensor: "embeddings.token_embedding.weight", position: 17, value: .nan,
        type: .f16),
    ])
  func weights(_ poison: Poison) throws {
    try withTemporaryFolder { folder in
      let copy = "\(folder)/model"
      try FileManager.default.copyItem(atPath: fixturePath("sample/model"), toPath: copy)
      let path = "\(copy)/\(poison.file)"
      try self.poison(
        path, poison.tensor, at: poison.position, with: poison.value, type: poison.type)
      #expect(
        throws: NonFiniteTensorError(
          path: path, tensor: poison.tensor, position: poison.position, isNaN: poison.value.isNaN)
      ) { try draw(ModelFolder(path: copy)) }
    }
  }

  @Test(
    "large arrays of half precision are looked at as they are stored",
    arguments: [
      (ElementType.f16, Float.nan), (.f16, .infinity), (.bf16, .nan), (.bf16, -.infinity),
    ])
  func halves(type: ElementType, value: Float) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.safetensors"
      let count = Weights.smallestHalf + 5
      var numbers = (0..<count).map { Float($0 % 100) - 50 }
      let finite = numbers
      numbers[count - 2] = value
      let poisoned = numbers
      try writeSafetensors(
        [
          OutgoingTensor("a", type: type, shape: [count], floats: { finite }),
          OutgoingTensor("b", type: type, shape: [count], floats: { poisoned }),
        ], to: path)
      let weights = Weights(try CheckpointWeights(try SafetensorsFile(path: path)))
      _ = try weights.parameter("a", shape: [count], initial: .constant(0))
      #expect(
        throws: NonFiniteTensorError(
          path: path, tensor: "b", position: count - 2, isNaN: value.isNaN)
      ) { try weights.parameter("b", shape: [count], initial: .constant(0)) }
    }
  }

  @Test("a LoRA that is not finite is refused by file and tensor when it is used")
  func lora() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/nan-lora.safetensors"
      let layer = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
      let key = "unet.\(layer).lora.up.weight"
      try writeSafetensors(
        [
          OutgoingTensor(
            "unet.\(layer).lora.down.weight", shape: [2, 64],
            floats: { [Float](repeating: 1, count: 128) }),
          OutgoingTensor(
            key, shape: [64, 2], floats: { [Float](repeating: .nan, count: 128) }),
        ], to: path)
      let expected = NonFiniteTensorError(path: path, tensor: key, position: 0, isNaN: true)
      let file = try LoRAFile(path: path)
      #expect(throws: expected) { try file.add(to: ModelAdapters()) }
    }
  }

  @Test("the first step whose numbers are not finite is named")
  func steps() throws {
    let model = ModelFolder(path: fixturePath("sample/model"))
    let error = try #require(
      #expect(throws: NonFiniteError.self) { try draw(model) { $0.guidance = 1e38 } })
    #expect("\(error)".contains("unet, step 2 of 3 (timestep 334) gave NaN"), "\(error)")
    let text = try #require(
      #expect(throws: NonFiniteError.self) {
        _ = try naming(["prompt \"x\""], remedy: "lower it") {
          try Tensor([1, .infinity], shape: [2]).requiringFinite("vae")
        }
      })
    #expect("\(text)" == "vae gave infinity, prompt \"x\"; lower it")
    #expect(FailureKind(text) == .notFinite)
  }
}
