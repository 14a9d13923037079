import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// Numbers that are not finite are an error by name: exit code 7, no image.
@Suite(.serialized) struct NotFiniteTests {
  private func sample(
    _ folder: String, model: String = "data/tiny-sd", _ arguments: String...
  ) throws -> Outcome {
    let outcome = try Program(
      [
        "sample", "--model", model, "--prompt", "x", "--out", "\(folder)/image.png",
      ] + (arguments.contains("--steps") ? [] : ["--steps", "3"]) + arguments
    ).outcome()
    #expect(!FileManager.default.fileExists(atPath: "\(folder)/image.png"))
    return outcome
  }

  @Test("a LoRA with NaN is named")
  func lora() throws {
    try withTemporaryFolder { folder in
      try writeLoRA(to: "\(folder)/lora.safetensors", up: .nan)
      expect(
        try sample(folder, "--lora", "\(folder)/lora.safetensors"), failsAs: .notFinite,
        naming: "\(folder)/lora.safetensors", "up")
    }
  }

  @Test("the part of a model with NaN is named, by sample and by run")
  func unet() throws {
    try withTemporaryFolder { folder in
      let model = try ModelVariant(in: folder)
      var last = try model.tensor("unet", "conv_out.weight")
      last.values[0] = .nan
      try model.replace("unet", ["conv_out.weight": last])
      expect(try sample(folder, model: model.path), failsAs: .notFinite, naming: "unet")
      let run = SmallRun(in: folder)
      let outcome = try run.run("--set", "model=\(model.path)", "--through", "preference")
      #expect(outcome.exitCode == FailureKind.notFinite.rawValue, "\(outcome)")
    }
  }

  @Test("a part of the autoencoder or of the text encoder with NaN is named")
  func otherParts() throws {
    for (part, name) in [
      ("vae", "decoder.conv_out.bias"),
      ("text_encoder", "text_model.final_layer_norm.weight"),
    ] {
      try withTemporaryFolder { folder in
        let model = try ModelVariant(in: folder)
        var tensor = try model.tensor(part, name)
        tensor.values[0] = .infinity
        try model.replace(part, [name: tensor])
        expect(try sample(folder, model: model.path), failsAs: .notFinite, naming: part)
      }
    }
  }

  @Test(
    "a guidance that gives infinite numbers is an error that names part, step and guidance",
    arguments: [("1e38", 3), ("3e38", 12)])
  func guidance(guidance: String, steps: Int) throws {
    try withTemporaryFolder { folder in
      let outcome = try sample(folder, "--guidance", guidance, "--steps", "\(steps)")
      expect(outcome, failsAs: .notFinite, naming: "step", "of \(steps)", "guidance")
      let parts = ["unet", "scheduler", "vae"]
      #expect(parts.contains { outcome.failures.joined().contains($0) }, "\(outcome)")
    }
  }
}
