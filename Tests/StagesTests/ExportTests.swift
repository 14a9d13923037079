import Checkpoints
import Files
import Foundation
import PipelineCore
import ReportStages
import Stages
import TestSupport
import Testing

/// Stands for the training: puts a LoRA of the fixture's U-Net where `export` looks for it.
private struct GivenLoRA: Stage {
  struct Settings: StageSettings {
    var file = "diffusers"
    /// Changes nothing about the LoRA.
    var patience = 1
  }

  static let name = "spo"
  static let version = 1
  static let fileNames = ["spo/pytorch_lora_weights.safetensors"]
  let reads: Set<Artifact> = []
  let writes: [Artifact: [String]] = ["lora": ["spo/pytorch_lora_weights.safetensors"]]
  private let settings: Settings
  private let context: StageContext
  private var path: String { context.output("spo/pytorch_lora_weights.safetensors") }

  init(settings: Settings, context: StageContext) {
    self.settings = settings
    self.context = context
  }

  func workPlan() -> WorkPlan<GivenLoRAWork> {
    WorkPlan(Folders.exists(path) ? [] : [0]) { GivenLoRAWork(settings.file, path) }
  }
}

private final class GivenLoRAWork: StageWork {
  private let file: String
  private let path: String

  init(_ file: String, _ path: String) { (self.file, self.path) = (file, path) }

  func process(_ item: Int) {}

  func commit(_ output: Void, of item: Int) throws {
    let bytes = try RegularFile(path: fixturePath("lora/\(file).safetensors")).readAll()
    try AtomicFile.replace(path, with: bytes)
  }
}

@Suite struct ExportTests {
  /// A model with the fixture's U-Net, and a pipeline of the two stages.
  private func withPipeline(
    _ settings: String = "{}",
    _ body: (_ folder: String, _ run: ([String]) throws -> [RunEvent]) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      let manager = FileManager.default
      try manager.copyItem(
        atPath: fixturePath("sample/model"), toPath: "\(folder)/model")
      try manager.removeItem(atPath: "\(folder)/model/unet")
      try manager.copyItem(atPath: fixturePath("lora/unet"), toPath: "\(folder)/model/unet")
      let text = """
        { workspace: "\(folder)/run", model: "\(folder)/model",
          stages: { spo: {}, export: \(settings) } }
        """
      try AtomicFile.replace("\(folder)/pipeline.json5", with: Array(text.utf8))
      try body(folder) { overrides in
        var events: [RunEvent] = []
        let pipeline = try Pipeline(
          path: "\(folder)/pipeline.json5", stages: [GivenLoRA.self, Export.self],
          overrides: overrides)
        try Runner(pipeline) { events.append($0) }.run()
        return events
      }
    }
  }

  private func results(_ events: [RunEvent]) -> [String] {
    events.compactMap { if case .result("export", let text) = $0 { text } else { nil } }
  }

  @Test("writes the LoRA, the webui's LoRA and the merged model, and says where they are")
  func all() throws {
    try withPipeline("{ dtype: \"f32\", name: \"soft\" }") { folder, run in
      let results = results(try run([]))
      let outputs = [
        "pytorch_lora_weights.safetensors", "webui/soft.safetensors", "merged",
      ].map { "\(folder)/run/export/\($0)" }
      #expect(results.count == 3)
      for (text, path) in zip(results, outputs) { #expect(text.hasSuffix(path)) }
      let lora = try SafetensorsFile(path: outputs[0])
      let given = try SafetensorsFile(path: fixturePath("lora/diffusers.safetensors"))
      #expect(lora.entries == given.entries)
      #expect(try lora.entries.allSatisfy { try lora.floats($0.name) == given.floats($0.name) })
      #expect(try SafetensorsFile(path: outputs[1]).metadata["ss_output_name"] == "soft")
      let merged = try SafetensorsFile(
        path: "\(outputs[2])/unet/diffusion_pytorch_model.safetensors")
      #expect(merged.entries.allSatisfy { $0.type == .f32 })
    }
  }

  @Test("finds nothing to do again, writes what is missing, and all of it for another LoRA")
  func repetition() throws {
    try withPipeline { folder, run in
      _ = try run([])
      #expect(try run([]).contains(.upToDate(stage: "export")))
      let webui = "\(folder)/run/export/webui/spo.safetensors"
      let bytes = try RegularFile(path: webui).readAll()
      try FileManager.default.removeItem(atPath: webui)
      #expect(try !run([]).contains(.upToDate(stage: "export")))
      #expect(try RegularFile(path: webui).readAll() == bytes)
      _ = try run(["spo.file=partial"])
      #expect(try RegularFile(path: webui).readAll() != bytes)
    }
  }

  @Test("writes only the forms that are wanted")
  func forms() throws {
    try withPipeline("{ forms: [\"lora\"] }") { folder, run in
      let lines = results(try run([]))
      #expect(lines.count == 1)
      #expect(!Folders.exists("\(folder)/run/export/merged"))
      #expect(throws: PipelineError.self) { try run(["export.forms=[]"]) }
      #expect(throws: PipelineError.self) { try run(["export.forms=[\"onnx\"]"]) }
      #expect(throws: PipelineError.self) { try run(["export.name=../escape"]) }
    }
  }

  /// The headers of all exported files under keys of this program.
  private func provenances(_ folder: String) throws -> [[String: String]] {
    try [
      "pytorch_lora_weights.safetensors", "webui/spo.safetensors",
      "merged/unet/diffusion_pytorch_model.safetensors",
    ].map { path in
      let header = try SafetensorsFile(path: "\(folder)/run/export/\(path)").metadata
      #expect(path.hasPrefix("webui") || header["format"] == "pt")
      return header.filter { $0.key.hasPrefix("spo_") }
    }
  }

  @Test("every header says what its LoRA came from, the same in every run")
  func provenance() throws {
    var all: [[String: String]] = []
    for _ in 0..<2 {
      try withPipeline { folder, run in
        _ = try run([])
        all += try provenances(folder)
      }
    }
    let told = try #require(all.first)
    #expect(Set(all).count == 1, "\(all)")
    #expect(
      Set(told.keys) == [
        "spo_version", "spo_stage", "spo_lora_sha256", "spo_settings", "spo_settings_sha256",
      ])
    #expect(told["spo_version"] == ProgramVersion.current)
    #expect(told["spo_stage"] == "spo")
    let lora = try RegularFile(path: fixturePath("lora/diffusers.safetensors")).readAll()
    #expect(told["spo_lora_sha256"] == SHA256.hexDigest(of: lora))
    let settings = try #require(told["spo_settings"])
    #expect(settings == "{\"file\":\"diffusers\",\"patience\":1}")
    #expect(told["spo_settings_sha256"] == SHA256.hexDigest(of: Array(settings.utf8)))
  }

  @Test("headers follow the settings of training even where the LoRA stays the same")
  func settings() throws {
    try withPipeline { folder, run in
      _ = try run([])
      let before = try provenances(folder)
      #expect(try !run(["spo.patience=2"]).contains(.upToDate(stage: "export")))
      let after = try provenances(folder)
      #expect(after.allSatisfy { $0["spo_lora_sha256"] == before[0]["spo_lora_sha256"] })
      #expect(after.allSatisfy { $0["spo_settings"]?.contains("\"patience\":2") == true })
      #expect(try run(["spo.patience=2"]).contains(.upToDate(stage: "export")))
    }
  }
}
