import Checkpoints
import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

@Suite struct WholePipelineTests {
  @Test("from parquet files to a LoRA, images and a report; a second run finds nothing to do")
  func endToEnd() throws {
    try withTemporaryFolder { folder in
      let run = MiniatureRun(in: folder)
      try run.makeSources()
      try run.run()

      let lora = try SafetensorsFile(
        path: "\(run.workspace)/spo/pytorch_lora_weights.safetensors")
      let up = try #require(lora.entries.first { $0.name.hasSuffix(".lora.up.weight") })
      let values = try lora.floats(up.name)
      #expect(values.contains { $0 != 0 } && values.allSatisfy(\.isFinite))

      let summary = try JSONReader(contentsOf: "\(run.workspace)/report/summary.json")
      let accuracy = try summary["preference"]["accuracy"].members().map(\.key)
      #expect(accuracy == ["clean", "1", "501"])
      let images = try summary["oracle"].int("pictures")
      #expect(images == 2)
      let steps = try summary["candidates"].elements().map { try $0.int("timestep") }
      #expect(steps == [251, 1])
      for (name, path) in try summary["outputs"].members() {
        let output = "\(run.workspace)/\(try path.string())"
        #expect(FileManager.default.fileExists(atPath: output), "\(name)")
      }
      let page = try RegularFile(path: "\(run.workspace)/report/index.html").readAll()
      let text = String(decoding: page, as: UTF8.self)
      for part in [
        "</html>", "run workspace", "All 4 images", "href=\"pictures/001-0-after.png\"",
        "href=\"../spo/pictures/batch-000000.png\"", "aesthetics ", "Gradient norm",
      ] { #expect(text.contains(part), "\(part)") }
      #expect(text.contains(/Prompts that (gained most|lost least) in aesthetics/))
      #expect(text.contains(/Prompts that (gained least|lost most) in aesthetics/))

      let again = try run.run()
      let stages = again.compactMap { event in
        if case .upToDate(let stage) = event { stage } else { nil }
      }
      #expect(
        stages == ["ingest", "encode", "shard", "preference", "spo", "export", "report"])

      try MiniatureRun(in: folder, overrides: ["report.candidate_draws=0"]).run()
      let unjudged = try JSONReader(contentsOf: "\(run.workspace)/report/summary.json")
      #expect(try unjudged.optional("candidates") == nil)
      #expect(try unjudged["oracle"].int("pictures") == 2)
    }
  }

  @Test("a latent preference model takes the place of one of pixels, and stands beside it")
  func latent() throws {
    try withTemporaryFolder { folder in
      let pixel = MiniatureRun(in: folder, workspace: "pixel")
      try pixel.makeSources()
      try pixel.run()
      let latent = MiniatureRun(
        in: folder, workspace: "latent", pipeline: "quickstart-latent", beside: "pixel")
      try latent.run()

      let summaries = try [pixel, latent].map {
        try JSONReader(contentsOf: "\($0.workspace)/report/summary.json")
      }
      let kinds = try summaries.map { try $0["preference"].string("kind") }
      #expect(kinds == ["pixel", "latent"])
      for summary in summaries {
        let seconds = try summary.double("seconds_per_sampling_step")
        #expect(seconds > 0)
      }
      let model = "\(latent.workspace)/preference/model"
      for name in ["unet/config.json", "text_encoder/model.safetensors", "model.safetensors"] {
        #expect(FileManager.default.fileExists(atPath: "\(model)/\(name)"))
      }
      #expect(!FileManager.default.fileExists(atPath: "\(latent.workspace)/preference/pictures"))
      let page = try RegularFile(path: "\(latent.workspace)/report/index.html").readAll()
      let text = String(decoding: page, as: UTF8.self)
      // Figures, curves and, of the same prompts from the same noise, images.
      for part in ["Side by side", "drift: norm of", "after, pixel"] {
        #expect(text.contains(part), "\(part)")
      }
    }
  }

  @Test("thrift with memory changes no weight; half precision is that of the finished model alone")
  func thrift() throws {
    try withTemporaryFolder { folder in
      func model(_ name: String, _ overrides: [String]) throws -> SafetensorsFile {
        let run = MiniatureRun(in: folder, workspace: name, overrides: overrides)
        try run.run(through: "preference")
        return try SafetensorsFile(
          path: "\(run.workspace)/preference/model/model.safetensors")
      }
      try MiniatureRun(in: folder).makeSources()
      let plain = try model("plain", [])
      let thrifty = try model(
        "thrifty",
        [
          "preference.optimizer_on_disk=true", "preference.gradient_checkpointing=true",
          "preference.precision=f16",
        ])
      for entry in plain.entries {
        let expected = try plain.floats(entry.name)
        let isMatrix = entry.shape.count > 1
        #expect(try thrifty.entry(entry.name).type == (isMatrix ? .f16 : .f32), "\(entry.name)")
        #expect(
          try thrifty.floats(entry.name)
            == (isMatrix ? expected.map { Float(Float16($0)) } : expected), "\(entry.name)")
      }
    }
  }

  @Test("a run that was killed ends with the bytes of one that was not")
  func killed() throws {
    try withTemporaryFolder { folder in
      let whole = MiniatureRun(in: folder)
      try whole.makeSources()
      // A killed process leaves what is on disk at that moment.
      var moments: [MiniatureRun] = []
      var advances: [String: Int] = [:]
      try whole.run { event in
        guard case .advanced(let progress) = event else { return }
        let count = advances[progress.stage, default: 0] + 1
        advances[progress.stage] = count
        guard (MiniatureRun.killed[progress.stage] ?? []).contains(count) else { return }
        let moment = MiniatureRun(in: folder, workspace: "\(progress.stage)-\(count)")
        try FileManager.default.copyItem(atPath: whole.workspace, toPath: moment.workspace)
        moments.append(moment)
      }
      #expect(moments.count == MiniatureRun.killed.values.reduce(0) { $0 + $1.count })
      let expected = try whole.results()
      for moment in moments {
        try moment.run()
        let found = try moment.results()
        for (name, bytes) in expected {
          #expect(found[name] == bytes, "\(name) after \(moment.workspace)")
        }
      }
    }
  }
}

extension MiniatureRun {
  /// The number of progress reports of each stage before it is killed.
  fileprivate static let killed = [
    "ingest": [1], "encode": [2, 4], "preference": [2, 9, 12, 14], "spo": [1, 3], "report": [2],
  ]
}
