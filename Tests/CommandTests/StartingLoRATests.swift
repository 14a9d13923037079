import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// The setting `spo.start`.
@Suite(.serialized) struct StartingLoRATests {
  private static let lora = "spo/pytorch_lora_weights.safetensors"

  @Test("training continues from a LoRA in either layout, and without it is what it was")
  func start() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let fresh = try run.bytes(Self.lora)
      var continued: [[UInt8]] = []
      for path in ["pytorch_lora_weights.safetensors", "webui/spo.safetensors"] {
        let start = "\(folder)/start.safetensors"
        try AtomicFile.replace(start, with: try run.bytes("export/\(path)"))
        let setting = "spo.start=\(start)"
        #expect(try run.states("--set", setting)["spo"] == "stale")
        expectSuccess(try run.run("--set", setting, "--through", "spo"))
        continued.append(try run.bytes(Self.lora))
        #expect(try run.states("--set", setting)["spo"] == "done")
        expectSuccess(try run.run("--through", "export"))
        #expect(try run.bytes(Self.lora) == fresh)
      }
      #expect(continued[0] == continued[1])
      #expect(continued[0] != fresh)
    }
  }

  @Test("another rank, other modules, no file and the stage's own file are refused before any work")
  func refusals() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      func start(_ path: String, _ settings: String...) throws -> Outcome {
        try Program(
          [
            "run", SmallRun.pipeline, "--workspace", run.workspace, "--quiet", "--set",
            "spo.start=\(path)",
          ] + settings.flatMap { ["--set", $0] }
        ).outcome()
      }
      let queries = "\(folder)/queries.safetensors"
      try writeLoRA(to: queries, up: 0.1)
      expect(
        try start(queries), failsAs: .input, naming: queries, "lacks", "to_k", "stage spo trains")
      let finished = try SmallRun.finished(in: "\(folder)/finished")
      let whole = finished.path(Self.lora)
      expect(
        try start(whole, "spo.rank=2"), failsAs: .input, naming: whole, "rank 4", "spo.rank is 2")
      expect(try start("\(folder)/none"), failsAs: .input, naming: "\(folder)/none")
      expect(
        try finished.run("--set", "spo.start=\(whole)"), failsAs: .settings, naming: "spo.start",
        whole)
      #expect(!FileManager.default.fileExists(atPath: run.path("catalog.sqlite")))
      let doctor = try spo("doctor", SmallRun.pipeline, "--set", "spo.start=\(folder)/none")
      #expect(doctor.errors.contains("\(folder)/none"), "\(doctor)")
    }
  }
}
