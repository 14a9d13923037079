import Checkpoints
import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

/// The published code's choices, as settings of whole runs.
@Suite struct PublishedChoicesTests {
  /// A copy of the tiny model whose scheduler is of a time when settings were missing.
  private func oldModel(in folder: String) throws -> String {
    let path = "\(folder)/model"
    try FileManager.default.copyItem(atPath: MiniatureRun.tinyModel, toPath: path)
    let file = "\(path)/scheduler/scheduler_config.json"
    var object = try #require(try JSON(contentsOf: file).object)
    object["steps_offset"] = nil
    object["clip_sample"] = nil
    try AtomicFile.replace(file, with: Array(JSON.object(object).text().utf8))
    return path
  }

  @Test("a model of before steps_offset is tuned and drawn as diffusers' pipeline draws it")
  func oldScheduler() throws {
    try withTemporaryFolder { folder in
      let new = MiniatureRun(in: folder, workspace: "new")
      try new.makeSources()
      try new.run()
      let old = MiniatureRun(
        in: folder, workspace: "old", model: try oldModel(in: folder))
      try old.run()
      let (expected, found) = (try new.results(), try old.results())
      for (name, bytes) in expected where !name.hasPrefix("shards") {
        #expect(found[name] == bytes, "\(name)")
      }
    }
  }

  private func evaluation(_ run: MiniatureRun) throws -> JSONReader {
    try JSONReader(contentsOf: "\(run.workspace)/preference/evaluation.json")
  }

  @Test(
    "the last checkpoint or the best is kept, and evaluated on what chose nothing where there is such"
  )
  func keptCheckpoint() throws {
    try withTemporaryFolder { folder in
      func run(_ name: String, _ keep: String) throws -> MiniatureRun {
        let run = MiniatureRun(
          in: folder, workspace: name, overrides: ["preference.keep=\(keep)"])
        try run.run(through: "preference")
        return run
      }
      func weights(_ run: MiniatureRun, _ path: String) throws -> [String: [Float]] {
        let file = try SafetensorsFile(path: "\(run.workspace)/preference/\(path)")
        return Dictionary(
          uniqueKeysWithValues: try file.entries.map { ($0.name, try file.floats($0.name)) })
      }
      try MiniatureRun(in: folder).makeSources()
      let best = try run("best", "best")
      let last = try run("last", "last")
      #expect(try evaluation(best).string("split") == "validation_unique")
      #expect(try evaluation(best).bool("chose_checkpoint"))
      #expect(try !evaluation(last).bool("chose_checkpoint"))
      #expect(try evaluation(last).int("step") == 4)
      #expect(
        try weights(last, "model/model.safetensors")
          == weights(last, "checkpoints/step-000004/weights.safetensors"))
      #expect(
        !FileManager.default.fileExists(atPath: "\(last.workspace)/preference/best.safetensors"))

      try MiniatureRun(in: folder).makeSources(hasTestSplit: true)
      let tested = try run("tested", "best")
      #expect(try evaluation(tested).string("split") == "test_unique")
      #expect(try !evaluation(tested).bool("chose_checkpoint"))
      // Six of nine comparisons are no ties.
      #expect(try evaluation(tested).int("pairs") == 6)
      // What was chosen, by the same comparisons, is the same.
      #expect(
        try weights(tested, "model/model.safetensors") == weights(best, "model/model.safetensors"))
    }
  }

  @Test("carried gradients and drawn latents are the same after a kill")
  func killed() throws {
    try withTemporaryFolder { folder in
      let overrides = [
        "encode.latents=mean+logvar", "spo.gradient_accumulation=3", "spo.pair_batch=2",
        "spo.gradient_limit=null", "preference.warm_up=log", "preference.keep=last",
        "spo.iterations=3",
      ]
      let whole = MiniatureRun(in: folder, workspace: "whole", overrides: overrides)
      try whole.makeSources()
      var moments: [MiniatureRun] = []
      var advances: [String: Int] = [:]
      try whole.run(through: "spo") { event in
        guard case .advanced(let progress) = event else { return }
        advances[progress.stage, default: 0] += 1
        let count = advances[progress.stage] ?? 0
        guard ["preference": [13], "spo": [2, 3]][progress.stage]?.contains(count) == true else {
          return
        }
        let moment = MiniatureRun(
          in: folder, workspace: "\(progress.stage)-\(count)", overrides: overrides)
        try FileManager.default.copyItem(atPath: whole.workspace, toPath: moment.workspace)
        moments.append(moment)
      }
      #expect(moments.count == 3)
      // Two prompts give four pairs, two batches, of which one waits: the next sampling batch begins with it.
      let waiting = moments.filter { moment in
        (try? FileManager.default.subpathsOfDirectory(atPath: "\(moment.workspace)/spo"))?
          .contains { $0.hasSuffix("gradients.safetensors") } ?? false
      }
      #expect(!waiting.isEmpty)
      let names = [
        "preference/model/model.safetensors", "spo/pytorch_lora_weights.safetensors",
        "spo/metrics.jsonl",
      ]
      for moment in moments {
        try moment.run(through: "spo")
        for name in names {
          let found = try RegularFile(path: "\(moment.workspace)/\(name)").readAll()
          let expected = try RegularFile(path: "\(whole.workspace)/\(name)").readAll()
          #expect(found == expected, "\(name) after \(moment.workspace)")
        }
      }
    }
  }
}
