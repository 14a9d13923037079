import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// What `spo export` leaves at its place when it fails.
@Suite(.serialized) struct ExportTests {
  private func export(_ lora: String, to output: String, _ arguments: String...) throws -> Outcome {
    try Program(
      ["export", "--model", "data/tiny-sd", "--lora", lora, "--out", output] + arguments
    ).outcome()
  }

  @Test("an export that fails leaves the file that was there", arguments: ["lora", "webui"])
  func keepsOldFile(form: String) throws {
    try withTemporaryFolder { folder in
      let (good, large) = ("\(folder)/good.safetensors", "\(folder)/large.safetensors")
      try writeLoRA(to: good, up: 0.1)
      try writeLoRA(to: large, up: 1e6)
      let output = "\(folder)/mine.safetensors"
      expectSuccess(try export(good, to: output, "--to", form, "--dtype", "f16"))
      let before = try RegularFile(path: output).readAll()
      expect(
        try export(large, to: output, "--to", form, "--dtype", "f16"), failsAs: .notFinite,
        naming: "up")
      #expect(try RegularFile(path: output).readAll() == before)
      try expectNothingElse(in: folder, ["good", "large", "mine"])
    }
  }

  @Test("a LoRA with NaN is exported under no name; the message names it and its array")
  func nan() throws {
    try withTemporaryFolder { folder in
      let lora = "\(folder)/nan.safetensors"
      try writeLoRA(to: lora, up: .nan)
      for (form, name) in [
        ("lora", "new.safetensors"), ("webui", "new.safetensors"), ("merged", "new"),
      ] {
        let outcome = try export(lora, to: "\(folder)/\(name)", "--to", form)
        expect(outcome, failsAs: .notFinite, naming: lora, "up")
        #expect(!outcome.errors.contains("use f32"), "\(outcome)")
        try expectNothingElse(in: folder, ["nan"])
      }
    }
  }

  @Test(
    "a LoRA that is empty or changes nothing is not exported",
    arguments: ["lora", "webui", "merged"])
  func nothing(form: String) throws {
    try withTemporaryFolder { folder in
      let (empty, zero) = ("\(folder)/empty.safetensors", "\(folder)/zero.safetensors")
      try writeSafetensors([], to: empty)
      try writeLoRA(to: zero, up: 0)
      let output = "\(folder)/new"
      expect(
        try export(empty, to: output, "--to", form), failsAs: .input, naming: empty, "no adapters")
      expect(
        try export(zero, to: output, "--to", form), failsAs: .nothingLearned, naming: zero, "up")
      try expectNothingElse(in: folder, ["empty", "zero"])
    }
  }

  @Test("stage export never leaves less than there was")
  func stage() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let path = "export/merged/unet/diffusion_pytorch_model.safetensors"
      let before = try run.bytes(path)
      try Data("no LoRA".utf8).write(
        to: URL(fileURLWithPath: run.path("spo/pytorch_lora_weights.safetensors")))
      // Whether it is refused or made again is another test's subject.
      _ = try run.run("--force", "export", "--through", "export")
      #expect(try run.bytes(path) == before)
    }
  }

  /// Only these names without their endings are in the folder.
  private func expectNothingElse(
    in folder: String, _ names: Set<String>, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let found = try FileManager.default.contentsOfDirectory(atPath: folder)
    #expect(
      Set(found) == Set(names.map { "\($0).safetensors" }), sourceLocation: sourceLocation)
  }
}
