import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// `spo inspect` says what a model or an adapter is, and what is wrong with it.
@Suite(.serialized) struct InspectTests {
  private static let parts = [
    ("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"),
    ("text_encoder", "model"),
  ]

  @Test("an intact model has no problems")
  func intact() throws {
    let outcome = try spo("inspect", "data/tiny-sd", "--json")
    expectSuccess(outcome)
    #expect(try JSON(parsing: outcome.output)["problems"] == nil)
  }

  @Test("a part without its weights, with half of them or with others is named", arguments: parts)
  func weights(part: String, stem: String) throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant(in: folder)
      let file = "\(model.path)/\(part)/\(stem).safetensors"
      let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
      func expectProblem(_ words: String..., sourceLocation: SourceLocation = #_sourceLocation)
        throws
      {
        // The part's own folder shows what can be told without the others.
        for path in [model.path, "\(model.path)/\(part)"] {
          let outcome = try spo("inspect", path)
          expect(
            outcome, failsAs: .input, naming: "\(model.path)/\(part)",
            sourceLocation: sourceLocation)
          for word in words {
            #expect(outcome.errors.contains(word), "\(outcome)", sourceLocation: sourceLocation)
          }
        }
        let json = try JSON(parsing: try spo("inspect", model.path, "--json").output)
        #expect(json["problems"]?.array?.count == 1, sourceLocation: sourceLocation)
      }
      try FileManager.default.removeItem(atPath: file)
      try expectProblem("has no weights")
      try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: file))
      try expectProblem("\(stem).safetensors", "truncated")
    }
  }

  @Test("weights of another shape are named with what was expected and found")
  func shape() throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant(in: folder)
      try model.replace(
        "unet", ["conv_out.bias": TensorData(shape: [7], values: Array(repeating: 0, count: 7))])
      expect(
        try spo("inspect", model.path), failsAs: .input, naming: "conv_out.bias", "[7]", "[4]")
    }
  }

  @Test("all faulty parts are named at once")
  func several() throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant(in: folder)
      for (part, stem) in Self.parts.prefix(2) {
        try FileManager.default.removeItem(atPath: "\(model.path)/\(part)/\(stem).safetensors")
      }
      try FileManager.default.removeItem(atPath: "\(model.path)/text_encoder")
      let outcome = try spo("inspect", model.path)
      #expect(outcome.exitCode == FailureKind.input.rawValue)
      #expect(outcome.output.contains("a model in diffusers' layout"))
      for (part, _) in Self.parts {
        #expect(outcome.failures.filter { $0.contains(part) }.count == 1, "\(outcome)")
      }
    }
  }

  @Test(
    "NaN and infinity are named with their tensor, in models, parts and files",
    arguments: [Float.nan, .infinity])
  func notFinite(value: Float) throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant(in: folder)
      var last = try model.tensor("unet", "conv_out.weight")
      last.values[5] = value
      try model.replace("unet", ["conv_out.weight": last])
      let file = "\(model.path)/unet/diffusion_pytorch_model.safetensors"
      for path in [model.path, "\(model.path)/unet", file] {
        expect(
          try spo("inspect", path), failsAs: .notFinite,
          naming: file, "conv_out.weight", value.isNaN ? "NaN" : "infinity", "element 5")
      }
      let lora = "\(folder)/lora.safetensors"
      try writeLoRA(to: lora, up: value)
      let outcome = try spo("inspect", lora)
      #expect(outcome.exitCode == FailureKind.notFinite.rawValue, "\(outcome)")
      // Those that are left out are counted.
      let named = outcome.failures.filter {
        $0.contains("\(lora): tensor") && $0.contains(".lora.up.weight")
      }
      #expect(named.count == 10, "\(outcome)")
      #expect(outcome.failures.contains { $0.contains("more; --json lists all") }, "\(outcome)")
    }
  }

  @Test("a model in one file is known by its layout, and its weights are checked")
  func singleFile() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.safetensors"
      let broken = "model.diffusion_model.out.2.bias"
      let shapes = try JSONReader(contentsOf: fixturePath("original/tiny.json"))["tensors"]
      var tensors: [String: TensorData] = [:]
      for (name, shape) in try shapes.members() {
        let shape = try shape.ints()
        tensors[name] = TensorData(
          shape: shape, values: [Float](repeating: 0.1, count: shape.reduce(1, *)))
      }
      try TensorData.write(tensors, to: path)
      let outcome = try spo("inspect", path)
      expectSuccess(outcome)
      #expect(outcome.output.contains("in the original layout: Stable Diffusion 1"))
      tensors[broken]?.values[0] = .nan
      try TensorData.write(tensors, to: path)
      expect(try spo("inspect", path), failsAs: .notFinite, naming: path, broken)
      tensors[broken] = nil
      try TensorData.write(tensors, to: path)
      expect(try spo("inspect", path), failsAs: .input, naming: path, "conv_out.bias")
    }
  }

  @Test(
    "adapters that are not read are called what they are",
    arguments: [
      ("lora_unet_mid_block_attentions_0_proj_in.hada_w1_a", "LoHa"),
      ("lora_unet_mid_block_attentions_0_proj_in.lokr_w1", "LoKr"),
      ("emb_params", "a textual inversion"), ("clip_g", "a textual inversion"),
      ("<a-cat>", "a textual inversion"),
    ])
  func foreign(key: String, kind: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/adapter.safetensors"
      try TensorData.write([key: TensorData(shape: [2, 2], values: [1, 2, 3, 4])], to: path)
      let outcome = try spo("inspect", path)
      expectSuccess(outcome)
      #expect(
        outcome.output.contains("\(kind) (tensor \(key)), which spo does not read"),
        "\(outcome.output)")
    }
  }

  @Test("a LoRA without one of its matrices is damaged")
  func incomplete() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/lora.safetensors"
      try writeLoRA(to: path, up: 0.1)
      var tensors = try TensorData.all(of: path)
      let name = try #require(tensors.keys.sorted().first { $0.hasSuffix(".up.weight") })
      tensors[name] = nil
      try TensorData.write(tensors, to: path)
      expect(try spo("inspect", path), failsAs: .input, naming: path, "lacks its down or its up")
    }
  }

  @Test("of a LoRA there is a summary, and its tensors where they are asked for")
  func summary() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/lora.safetensors"
      try writeLoRA(to: path, up: 0.1)
      var tensors = try TensorData.all(of: path)
      let count = tensors.count / 2
      for name in tensors.keys where name.hasSuffix(".lora.up.weight") {
        tensors[name.replacing(".lora.up.weight", with: ".alpha")] = TensorData(
          shape: [], values: [2])
      }
      try TensorData.write(tensors, to: path)
      let outcome = try spo("inspect", path)
      expectSuccess(outcome)
      #expect(
        outcome.output.contains(
          "LoRA: rank 4 in \(count) layers of unet, alpha 2 (scale 0.5), F32"), "\(outcome.output)")
      #expect(!outcome.output.contains(".lora.up.weight"))
      #expect(try spo("inspect", path, "--tensors").output.contains(".lora.up.weight: F32 ["))
      #expect(try spo("inspect", path, "--json").output.contains(".lora.up.weight"))
    }
  }

  @Test("a folder of peft is described by its configuration and its file")
  func adapterFolder() throws {
    try withTemporaryFolder { folder in
      try writeText(
        "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"base_model_name_or_path\": \"models/sd15\"}",
        to: "\(folder)/adapter/adapter_config.json")
      let file = "\(folder)/adapter/adapter_model.safetensors"
      expect(
        try spo("inspect", "\(folder)/adapter"), failsAs: .input,
        naming: "has no weights", "adapter_model.safetensors")
      let source = "\(folder)/lora.safetensors"
      try writeLoRA(to: source, up: 0.1)
      var tensors: [String: TensorData] = [:]
      for (name, tensor) in try TensorData.all(of: source) {
        tensors[
          "base_model.model."
            + name.dropFirst("unet.".count).replacing("lora.down", with: "lora_A")
            .replacing("lora.up", with: "lora_B")] = tensor
      }
      try TensorData.write(tensors, to: file)
      let outcome = try spo("inspect", "\(folder)/adapter")
      expectSuccess(outcome)
      for words in [
        "a PEFT adapter, LORA, for models/sd15", "rank 4 in", "alpha 8 (scale 2)", file,
      ] { #expect(outcome.output.contains(words), "\(words): \(outcome.output)") }
    }
  }
}
