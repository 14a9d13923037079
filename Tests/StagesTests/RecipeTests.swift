import Checkpoints
import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

/// The recipes that are made to end, at tiny size.
@Suite struct RecipeTests {
  private func requireLoRA(_ run: MiniatureRun, _ name: String) throws {
    let file = try SafetensorsFile(path: "\(run.workspace)/export/webui/\(name).safetensors")
    let ups = try file.entries.filter { $0.name.hasSuffix(".lora_up.weight") }
      .flatMap { try file.floats($0.name) }
    #expect(ups.contains { $0 != 0 } && ups.allSatisfy(\.isFinite))
    #expect(Folders.exists("\(run.workspace)/report/index.html"))
  }

  @Test(
    "from comparisons and a list of prompts to a LoRA, judged at the noisiest steps alone",
    arguments: [
      ("sd15-latent-fast", "../../data/tiny-sd"), ("sdxl-latent-fast", "sample-xl/model"),
    ]
  )
  func latent(name: String, model: String) throws {
    try withTemporaryFolder { folder in
      let run = MiniatureRun(
        in: folder, pipeline: name, model: fixturePath(model),
        overrides: [
          "ingest.source=[\"\(folder)/*.parquet\", \"\(folder)/prompts.json\"]",
          "encode.size=null", "spo.sampling_steps=6", "spo.divert_step=0", "spo.stop_step=5",
          "spo.rank=2", "spo.highest_threshold=0",
        ] + (name.hasPrefix("sd15") ? ["preference.start="] : []))
      try run.makeSources()
      try run.run()
      try requireLoRA(run, name.hasPrefix("sd15") ? "lpo-sd15-fast" : "lpo-sdxl-fast")
      let metrics = try String(
        contentsOfFile: "\(run.workspace)/spo/metrics.jsonl", encoding: .utf8)
      let line = metrics.split(separator: "\n")[0]
      #expect(line.components(separatedBy: "\"timestep\"").count == 5 + 1)
    }
  }

  @Test("from a list of prompts and a given preference model to a LoRA")
  func small() throws {
    try withTemporaryFolder { folder in
      let trained = MiniatureRun(in: folder, workspace: "trained")
      try trained.makeSources()
      try trained.run(through: "preference")
      let prompts: [JSON] = (0..<40).map { ["caption": .string("a red circle \($0)")] }
      let list = "\(folder)/list.json"
      try AtomicFile.replace(list, with: Array(JSON.array(prompts).text().utf8))
      let run = MiniatureRun(
        in: folder, pipeline: "sd15-small",
        overrides: [
          "ingest.source=\(list)", "encode.size=null",
          "spo.preference=\(trained.workspace)/preference/model",
        ])
      try run.run()
      try requireLoRA(run, "spo-sd15-small")
    }
  }
}
