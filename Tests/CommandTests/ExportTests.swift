import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// The files that a failing `spo export` leaves.
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

  @Test("any number of files are merged at their scales, which the header names")
  func several() throws {
    try withTemporaryFolder { folder in
      let (one, two) = ("\(folder)/one.safetensors", "\(folder)/two.safetensors")
      try writeLoRA(to: one, up: 0.1)
      try writeLoRA(to: two, up: 0.05)
      func merge(_ name: String, _ loras: String...) throws -> [String: TensorData] {
        let output = "\(folder)/\(name)"
        expectSuccess(
          try Program(
            ["export", "--model", "data/tiny-sd", "--to", "merged", "--out", output] + loras
          ).outcome())
        return try TensorData.all(of: "\(output)/unet/diffusion_pytorch_model.safetensors")
      }
      // 0.5 of the one and 1 of the other are as much as one of them.
      let both = try merge(
        "both", "--lora", one, "--lora", two, "--lora-scale", "0.5", "--lora-scale", "1")
      let single = try merge("single", "--lora", one)
      let name = try #require(single.keys.sorted().first { $0.hasSuffix(".to_q.weight") })
      let (a, b) = (try #require(both[name]).values, try #require(single[name]).values)
      #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-6 })
      let header = try SafetensorsFile(
        path: "\(folder)/both/unet/diffusion_pytorch_model.safetensors"
      ).metadata
      #expect(header["spo_lora_scale"] == "0.5, 1.0")
      #expect(header["spo_lora_sha256"]?.count == 2 * 64 + 2)
      let output = "\(folder)/new.safetensors"
      expect(
        try export(one, to: output, "--to", "lora", "--lora", two), failsAs: .usage,
        naming: "--to merged")
      expect(
        try export(one, to: output, "--to", "webui", "--lora-scale", "0.5"), failsAs: .usage,
        naming: "--lora-scale", "--to merged")
      expect(
        try export(
          one, to: "\(folder)/x", "--to", "merged", "--lora-scale", "1", "--lora-scale", "2"),
        failsAs: .usage, naming: "--lora-scale: 2 given for 1 --lora")
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

  @Test("a header names the data, the model and the preference model of a run, and inspect says so")
  func provenance() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let path = run.path("export/webui/spo.safetensors")
      let header = try SafetensorsFile(path: path).metadata
      #expect(header["spo_data_sha256"]?.count == 64)
      #expect(header["spo_preference_sha256"]?.count == 64)
      #expect(header["spo_date"] == nil)
      // As `sha256sum` prints them.
      var lines = ""
      for part in ["scheduler", "unet", "vae"] {
        let model = "\(repository)/data/tiny-sd"
        for name in try FileManager.default.contentsOfDirectory(atPath: "\(model)/\(part)").sorted()
        {
          let bytes = try RegularFile(path: "\(model)/\(part)/\(name)").readAll()
          lines += "\(SHA256.hexDigest(of: bytes))  \(part)/\(name)\n"
        }
      }
      let model = SHA256.hexDigest(of: Array(lines.utf8))
      #expect(header["spo_model_sha256"] == model)
      let told = try spo("inspect", path)
      expectSuccess(told)
      for sentence in [
        "Written by spo \(ProgramVersion.current).", "Trained by stage spo.",
        "SHA-256 of the model that it was trained on: \(model).",
      ] {
        #expect(told.output.contains("  \(sentence)\n"), "\(told.output.prefix(2_000))")
      }
      #expect(!told.output.contains("spo_model_sha256"))
      #expect(try spo("inspect", path, "--json").output.contains("spo_model_sha256"))
      // An export of an export tells the same, and what it was made from.
      let again = "\(folder)/again.safetensors"
      expectSuccess(try export(path, to: again, "--to", "lora"))
      let second = try SafetensorsFile(path: again).metadata
      #expect(second["spo_model_sha256"] == model)
      #expect(
        second["spo_lora_sha256"] == SHA256.hexDigest(of: try RegularFile(path: path).readAll()))
    }
  }

  @Test("the date in a header is the one that SOURCE_DATE_EPOCH names")
  func date() throws {
    try withTemporaryFolder { folder in
      let (lora, output) = ("\(folder)/lora.safetensors", "\(folder)/out.safetensors")
      try writeLoRA(to: lora, up: 0.1)
      func export(_ date: String) throws -> Outcome {
        try Program(
          [
            "export", "--model", "data/tiny-sd", "--lora", lora, "--to", "webui", "--out", output,
          ], environment: ["SOURCE_DATE_EPOCH": date]
        ).outcome()
      }
      expect(try export("yesterday"), failsAs: .usage, naming: "SOURCE_DATE_EPOCH", "yesterday")
      #expect(!FileManager.default.fileExists(atPath: output))
      let run = SmallRun(in: folder)
      expect(
        try Program(
          ["run", SmallRun.pipeline, "--workspace", run.workspace],
          environment: ["SOURCE_DATE_EPOCH": "yesterday"]
        ).outcome(), failsAs: .usage, naming: "SOURCE_DATE_EPOCH")
      #expect(!FileManager.default.fileExists(atPath: run.path("catalog.sqlite")))
      expectSuccess(try export("1764288000"))
      let header = try SafetensorsFile(path: output).metadata
      #expect(header["spo_date"] == "2025-11-28T00:00:00Z")
      #expect(header["modelspec.date"] == "2025-11-28T00:00:00Z")
      #expect(
        try spo("inspect", output).output.contains(
          "Written by spo \(ProgramVersion.current) on 2025-11-28T00:00:00Z."))
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
