import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import RandomStreams
import TestSupport
import Testing

/// Images of the fixtures' models, as diffusers' pipelines draw them.
@Suite struct TextToImageTests {
  struct GoldenImage: CustomTestStringConvertible, Sendable {
    let folder: String
    let name: String
    var testDescription: String { "\(folder) \(name)" }
  }

  static func goldenImages(_ folder: String) throws -> [GoldenImage] {
    try JSONReader(contentsOf: fixturePath("\(folder)/pictures.json")).members().map {
      GoldenImage(folder: folder, name: $0.0)
    }
  }

  @Test(
    "the image of a seed is the one that diffusers draws",
    arguments: try goldenImages("sample") + goldenImages("sample-xl"))
  func image(_ golden: GoldenImage) throws {
    let settings = try JSONReader(contentsOf: fixturePath("\(golden.folder)/pictures.json"))[
      golden.name]
    var request = TextToImage.Request(prompt: try settings.string("prompt"))
    request.negativePrompt = try settings.optional("negative")?.string()
    request.steps = try settings.int("steps")
    request.guidance = Float(try settings.double("guidance"))
    request.eta = Float(try settings.double("eta", default: 0))
    if let size = try settings.optional("size")?.ints() {
      request.size = (height: size[1], width: size[0])
    }
    let schedulers: [String: SchedulerKind] = ["ddim": .ddim, "pndm": .pndm, "dpm++": .dpmSolver]
    request.scheduler = try settings.optional("scheduler").flatMap { schedulers[try $0.string()] }

    let pipeline = try TextToImage(ModelFolder(path: fixturePath("\(golden.folder)/model")))
    var source = TorchCPUGenerator(seed: UInt64(try settings.int("seed")))
    let drawn = try pipeline(request, source: &source)
    let file = try SafetensorsFile(path: fixturePath("\(golden.folder)/pictures.safetensors"))
    let expected = try file.floats(golden.name)
    #expect(try drawn.shape == [1] + file.entry(golden.name).shape)
    let difference = zip(drawn.values, expected).reduce(Float(0)) { sum, pair in
      sum + abs(min(max(pair.0 / 2 + 0.5, 0), 1) - pair.1)
    }
    #expect(difference / Float(expected.count) < 1e-4)
  }

  @Test("guidance leads away from a negative LoRA as two U-Nets by hand in diffusers do")
  func negativeLoRA() throws {
    let folder = ModelFolder(path: fixturePath("sample/model"))
    let (lora, negative) = try (
      LoRAFile(path: fixturePath("sample/lora.safetensors")),
      LoRAFile(path: fixturePath("sample/negative.safetensors"))
    )
    var request = TextToImage.Request(
      prompt: "a red circle on the left and a blue square on the right, in the background")
    request.negativePrompt = "yellow"
    request.steps = 6
    request.guidance = 4
    request.size = (height: 32, width: 32)
    let expected = try SafetensorsFile(path: fixturePath("sample/negative-lora.safetensors"))
      .floats("image")
    func difference(_ image: Tensor) -> Float {
      zip(image.values, expected).reduce(Float(0)) { sum, pair in
        sum + abs(min(max(pair.0 / 2 + 0.5, 0), 1) - pair.1)
      } / Float(expected.count)
    }
    func adapters() throws -> ModelAdapters {
      let adapters = ModelAdapters()
      try lora.add(to: adapters, strength: 0.8)
      return adapters
    }
    let negativeAdapters = AdapterSet()
    try lora.addUNetAdapters(to: negativeAdapters, strength: 0.8)
    try negative.addUNetAdapters(to: negativeAdapters, strength: 0.5)

    let pipeline = try TextToImage(
      folder, adapters: adapters(), negativeAdapters: negativeAdapters)
    var source = TorchCPUGenerator(seed: 11)
    #expect(difference(try pipeline(request, source: &source)) < 1e-4)
    try TextToImage.draw(
      request, of: folder, adapters: adapters(), negativeAdapters: negativeAdapters,
      from: [TorchCPUGenerator(seed: 11)]
    ) { #expect(difference($1) < 1e-4) }
    // It is the negative LoRA that makes the difference.
    var again = TorchCPUGenerator(seed: 11)
    let without = try TextToImage(folder, adapters: adapters())(request, source: &again)
    #expect(difference(without) > 1e-3)
  }

  @Test("a negative LoRA of text encoders is refused")
  func negativeTextEncoders() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/lora.safetensors"
      let name = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
      try writeSafetensors(
        [("lora_A", [1, 8]), ("lora_B", [8, 1])].map { half, shape in
          OutgoingTensor(
            "\(name).\(half).weight", shape: shape, floats: { [Float](repeating: 1, count: 8) })
        }, to: path)
      #expect(throws: LoRAError.negativeTextEncoders(path: path)) {
        try LoRAFile(path: path).requireUNetAlone()
      }
    }
  }

  @Test("two text encoders give joined hidden states and pooled text, and zeros for no prompt")
  func promptEncoder() throws {
    let encoder = try PromptEncoder(ModelFolder(path: fixturePath("sample-xl/model")))
    let expected = try SafetensorsFile(path: fixturePath("sample-xl/prompts.safetensors"))
    let prompts = ["a red circle", "zwei Kreise äöü 🎈", ""]
    let output = try encoder(prompts)
    let pooled = try #require(output.pooledText)
    #expect(output.hiddenStates.shape == [3, 24, 10] && pooled.shape == [3, 5])
    for (row, prompt) in prompts.enumerated() {
      expectClose(
        output.hiddenStates.slice(axis: 0, row..<row + 1).values,
        try expected.floats("embedding \(prompt)"))
      expectClose(
        pooled.slice(axis: 0, row..<row + 1).values, try expected.floats("pooled \(prompt)"))
    }
    let empty = try encoder.empty()
    #expect((empty.hiddenStates.values + (empty.pooledText?.values ?? [1])).allSatisfy { $0 == 0 })
    #expect(empty.hiddenStates.shape == [1, 24, 10] && empty.pooledText?.shape == [1, 5])
  }

  private func expectClose(_ found: [Float], _ expected: [Float]) {
    #expect(found.count == expected.count)
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-4 })
  }

  @Test("the folder says whether zeros stand for the empty prompt; by default they do")
  func emptyPrompt() throws {
    try withTemporaryFolder { folder in
      let model = try copyOfModel("sample-xl", in: folder)
      let index = "\(model.path)/model_index.json"
      try AtomicFile.replace(index, with: Array(#"{"force_zeros_for_empty_prompt": false}"#.utf8))
      let encoder = try PromptEncoder(model)
      #expect(try encoder.empty().hiddenStates.values == encoder([""]).hiddenStates.values)
      try FileManager.default.removeItem(atPath: index)
      #expect(try PromptEncoderConfiguration(model).isEmptyPromptZero)
      let single = ModelFolder(path: fixturePath("sample/model"))
      #expect(try PromptEncoderConfiguration(single).isEmptyPromptZero == false)
    }
  }

  @Test("parts of different models are refused by name")
  func misfits() throws {
    try withTemporaryFolder { folder in
      let model = try copyOfModel("sample-xl", in: folder)
      let other = fixturePath("sample/model")
      for (part, mention) in [
        ("text_encoder", "cross_attention_dim is 10, but the text encoders give 8 + 6 = 14"),
        ("unet", "cross_attention_dim is 8, but the text encoders give 4 + 6 = 10"),
      ] {
        try replace(part, of: model, from: other)
        let error = #expect(throws: ConfigurationError.self) { _ = try TextToImage(model) }
        #expect("\(try #require(error))".contains(mention))
        try replace(part, of: model, from: fixturePath("sample-xl/model"))
      }
      let path = "\(model.path)/tokenizer_2/tokenizer_config.json"
      let text = String(decoding: try RegularFile(path: path).readAll(), as: UTF8.self)
      for (length, mention) in [
        ("20", "model_max_length is 20"), ("77", "max_position_embeddings is 24"),
      ] {
        try AtomicFile.replace(
          path, with: Array(text.replacingOccurrences(of: "24", with: length).utf8))
        let error = #expect(throws: ConfigurationError.self) { _ = try TextToImage(model) }
        #expect("\(try #require(error))".contains(mention))
      }
      try FileManager.default.removeItem(atPath: "\(model.path)/text_encoder_2")
      let single = try #require(
        #expect(throws: ConfigurationError.self) { _ = try TextToImage(model) })
      #expect("\(single)".contains("the text encoders give 4"))
    }
  }

  private func copyOfModel(_ fixture: String, in folder: String) throws -> ModelFolder {
    try FileManager.default.copyItem(
      atPath: fixturePath("\(fixture)/model"), toPath: "\(folder)/model")
    return ModelFolder(path: "\(folder)/model")
  }

  private func replace(_ part: String, of model: ModelFolder, from folder: String) throws {
    try FileManager.default.removeItem(atPath: "\(model.path)/\(part)")
    try FileManager.default.copyItem(
      atPath: "\(folder)/\(part)", toPath: "\(model.path)/\(part)")
  }
}
