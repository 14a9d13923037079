import Files
import Foundation
import TestSupport
import Testing

/// Nothing damaged is used: one bit of a finished workspace's file is inverted, its time kept.
@Suite(.serialized) struct DamageTests {
  /// The file, and the stage that reads it and is forced to.
  static let outputs = [
    ("catalog.sqlite", "shard"), ("cache.sqlite", "shard"),
    ("shards/train-00000-of-00001.safetensors", "preference"),
    ("shards/index.json", "preference"), ("preference/model/model.safetensors", "spo"),
    ("spo/pytorch_lora_weights.safetensors", "export"),
    ("spo/pytorch_lora_weights.safetensors", "report"),
  ]

  @Test("a damaged result is found before it is used", arguments: outputs.indices)
  func used(index: Int) throws {
    let (file, stage) = Self.outputs[index]
    try withTemporaryFolder { folder in
      let intact = try SmallRun.finished(in: folder)
      let results = [
        "shards/train-00000-of-00001.safetensors", "preference/model/model.safetensors",
        "spo/pytorch_lora_weights.safetensors", "export/pytorch_lora_weights.safetensors",
      ].filter { $0 != file }
      let expected = try results.map { try intact.bytes($0) }
      try intact.flip(file)
      let outcome = try intact.run("--force", stage, "--through", stage)
      if outcome.exitCode == 0 {
        // It was made again, or the bit meant nothing: all else is as it was.
        #expect(try results.map { try intact.bytes($0) } == expected, "\(file) was used")
      } else {
        #expect(outcome.exitCode == FailureKind.input.rawValue, "\(outcome)")
        #expect(outcome.errors.contains(file.split(separator: "/").last ?? ""), "\(outcome)")
      }
    }
  }

  @Test("status says damaged or missing where an output is not what was recorded")
  func status() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let file = "export/merged/unet/diffusion_pytorch_model.safetensors"
      let bytes = try run.bytes(file)
      try Data(bytes.prefix(bytes.count / 2)).write(to: URL(fileURLWithPath: run.path(file)))
      #expect(try run.states()["export"] == "damaged")
      try FileManager.default.removeItem(atPath: run.path(file))
      #expect(try ["damaged", "missing"].contains(run.states()["export"]))
    }
  }

  @Test("verify finds nothing in a finished workspace, and every damaged result by name")
  func verify() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      func verify() throws -> Outcome {
        try spo("verify", SmallRun.pipeline, "--workspace", run.workspace)
      }
      expectSuccess(try verify())
      for (file, _) in Self.outputs.dropLast() {
        try run.flip(file)
        let outcome = try verify()
        #expect(outcome.exitCode == FailureKind.input.rawValue, "\(file): \(outcome)")
        let text = outcome.output + outcome.errors
        #expect(text.contains(file.split(separator: "/").last ?? ""), "\(outcome)")
        // What repairs it does so here.
        #expect(
          outcome.errors.contains("spo run \(SmallRun.pipeline) --workspace \(run.workspace)"),
          "\(outcome)")
        // The same bit again.
        try run.flip(file)
      }
    }
  }

  @Test("a damaged checkpoint of a finished stage is dropped by gc, not trained again")
  func checkpoint() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let checkpoints = "preference/checkpoints"
      let newest = try #require(
        try FileManager.default.contentsOfDirectory(atPath: run.path(checkpoints)).max())
      try run.flip("\(checkpoints)/\(newest)/weights.safetensors")
      func call(_ command: String) throws -> Outcome {
        try spo(command, SmallRun.pipeline, "--workspace", run.workspace)
      }
      let outcome = try call("verify")
      expect(outcome, failsAs: .input, naming: "spo gc \(SmallRun.pipeline) --workspace")
      #expect(!outcome.errors.contains("--force"), "\(outcome)")
      expectSuccess(try call("gc"))
      expectSuccess(try call("verify"))
    }
  }

  @Test("gc removes nothing that is needed")
  func gc() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      expectSuccess(try spo("gc", SmallRun.pipeline, "--workspace", run.workspace, "--dry-run"))
      expectSuccess(try spo("gc", SmallRun.pipeline, "--workspace", run.workspace))
      #expect(Set(try run.states().values) == ["done"])
      expectSuccess(try spo("verify", SmallRun.pipeline, "--workspace", run.workspace))
    }
  }

  @Test("an intact result of other settings is no damage")
  func staleIsWhole() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      func verify(_ words: String...) throws -> Outcome {
        try Program(["verify", SmallRun.pipeline, "--workspace", run.workspace] + words).outcome()
      }
      let fewer = ["--set", "ingest.limit=40"]
      expectSuccess(try run.run(fewer[0], fewer[1], "--through", "ingest"))
      expectSuccess(try verify(fewer[0], fewer[1]))
      expectSuccess(try verify("--set", "shard.shard_size_mb=0.1"))
      try run.flip("shards/\(try #require(try shard(of: run)))")
      let damaged = try verify(fewer[0], fewer[1])
      #expect(damaged.exitCode == FailureKind.input.rawValue, "\(damaged)")
      #expect(damaged.output.contains("its SHA-256 is"), "\(damaged)")
    }
  }

  private func shard(of run: SmallRun) throws -> String? {
    try FileManager.default.contentsOfDirectory(atPath: run.path("shards"))
      .first { $0.hasSuffix(".safetensors") }
  }
}
