import Checkpoints
import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

@Suite struct DirectPreferenceTests {
  private static let loraFile = "dpo/pytorch_lora_weights.safetensors"

  /// The recipe of full size, on the tiny model.
  private func run(
    in folder: String, _ workspace: String = "workspace", _ overrides: [String] = []
  ) -> MiniatureRun {
    MiniatureRun(
      in: folder, workspace: workspace, pipeline: "sd15-dpo",
      overrides: ["encode.size=null"] + overrides)
  }

  private func ups(_ run: MiniatureRun) throws -> [Float] {
    let file = try SafetensorsFile(path: "\(run.workspace)/\(Self.loraFile)")
    return try file.entries.filter { $0.name.hasSuffix(".lora.up.weight") }
      .flatMap { try file.floats($0.name) }
  }

  @Test("training continues from a LoRA of the same rank")
  func start() throws {
    try withTemporaryFolder { folder in
      let fresh = run(in: folder)
      try fresh.makeSources()
      try fresh.run(through: "dpo")
      let start = "\(folder)/start.safetensors"
      let lora = "\(fresh.workspace)/\(Self.loraFile)"
      try FileManager.default.copyItem(atPath: lora, toPath: start)
      let further = run(in: folder, "workspace", ["dpo.start=\(start)"])
      let before = try ups(fresh)
      try further.run(through: "dpo")
      #expect(try ups(further) != before)
      let other = run(in: folder, "other", ["dpo.start=\(start)", "dpo.rank=2"])
      #expect(failure { try other.run(through: "dpo") }?.contains("but dpo.rank is 2") == true)
    }
  }

  @Test(
    "alone: from parquet files to a LoRA, exports and a report; a killed run ends with the same bytes"
  )
  func alone() throws {
    try withTemporaryFolder { folder in
      let whole = run(in: folder)
      try whole.makeSources()
      var moments: [MiniatureRun] = []
      var advances = 0
      try whole.run { event in
        guard case .advanced(let progress) = event, progress.stage == "dpo" else { return }
        advances += 1
        guard [1, 2, 3, 4].contains(advances) else { return }
        let moment = run(in: folder, "moment-\(advances)")
        try FileManager.default.copyItem(atPath: whole.workspace, toPath: moment.workspace)
        moments.append(moment)
      }
      #expect(moments.count == 4)
      #expect(try ups(whole).contains { $0 != 0 } && ups(whole).allSatisfy(\.isFinite))
      let names = [
        Self.loraFile, "dpo/metrics.jsonl", "dpo/warnings.json", "dpo/pictures/step-000004.png",
        "export/pytorch_lora_weights.safetensors", "export/webui/dpo-sd15.safetensors",
        "report/pictures/001-0-after.png",
      ]
      for moment in moments {
        try moment.run()
        for name in names {
          let expected = try RegularFile(path: "\(whole.workspace)/\(name)").readAll()
          let found = try RegularFile(path: "\(moment.workspace)/\(name)").readAll()
          #expect(found == expected, "\(name) after \(moment.workspace)")
        }
      }
      let summary = try JSONReader(contentsOf: "\(whole.workspace)/report/summary.json")
      #expect(try summary.optional("preference") == nil)
      let page = try String(contentsOfFile: "\(whole.workspace)/report/index.html", encoding: .utf8)
      #expect(page.contains("Direct preference optimization"))
      #expect(!page.contains("Step-by-step"))
    }
  }

  @Test("beside stage spo: two LoRAs, exported and reported by the same stages")
  func beside() throws {
    try withTemporaryFolder { folder in
      let both = MiniatureRun(in: folder, pipeline: "quickstart-dpo")
      try both.makeSources()
      try both.run()
      func bytes(_ name: String) throws -> [UInt8] {
        try RegularFile(path: "\(both.workspace)/\(name)").readAll()
      }
      #expect(try bytes("export/pytorch_lora_weights.safetensors").count > 0)
      // The headers differ: what is exported says where it came from.
      func tensors(_ name: String) throws -> [[UInt8]] {
        let file = try SafetensorsFile(path: "\(both.workspace)/\(name)")
        return try file.entries.map { Array($0.name.utf8) + (try file.bytes($0.name)) }
      }
      #expect(
        try tensors("export/pytorch_lora_weights.safetensors")
          == tensors("spo/pytorch_lora_weights.safetensors"))
      #expect(
        try tensors("export/dpo/pytorch_lora_weights.safetensors") == tensors(Self.loraFile))
      #expect(
        try SafetensorsFile(path: "\(both.workspace)/export/dpo/webui/spo-dpo.safetensors")
          .metadata["ss_output_name"] == "spo-dpo")
      #expect(Folders.exists("\(both.workspace)/export/dpo/merged/unet/config.json"))
      let images = try ["before", "spo", "dpo"].map {
        try bytes("report/pictures/000-0-\($0).png")
      }
      #expect(Set(images).count == 3)
      let summary = try JSONReader(contentsOf: "\(both.workspace)/report/summary.json")
      for name in ["oracle", "oracle_dpo"] {
        let count = try summary[name].int("pictures")
        #expect(count == 2)
      }
      let page = String(decoding: try bytes("report/index.html"), as: UTF8.self)
      #expect(page.contains("Step-by-step preference optimization and Direct preference"))

      // Without dpo the other results stay, and the exports are those of one LoRA again.
      let alone = MiniatureRun(in: folder, pipeline: "quickstart")
      let events = try alone.run()
      #expect(events.contains(.upToDate(stage: "spo")))
      #expect(!Folders.exists("\(both.workspace)/export/dpo"))
      #expect(Folders.exists("\(both.workspace)/\(Self.loraFile)"))
    }
  }

  @Test(
    "labels alone say which image is preferred: with all of them swapped the first update is the opposite"
  )
  func labels() throws {
    func difference(_ a: [Float], _ b: [Float]) -> Float {
      let size = a.reduce(0) { $0 + abs($1) }
      return zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } / size
    }
    try withTemporaryFolder { folder in
      func update(_ labels: (Double, Double), _ overrides: [String] = []) throws -> [Float] {
        let run = run(in: folder, "workspace", ["dpo.steps=1", "dpo.batch=12"] + overrides)
        try run.makeSources(labels: [labels])
        try run.run(through: "dpo")
        return try ups(run)
      }
      let left = try update((1, 0))
      // However the batch is cut into parts.
      #expect(try difference(left, update((1, 0), ["dpo.micro_batch=5"])) < 0.01)
      #expect(try difference(left, update((1, 0), ["dpo.gradient_checkpointing=true"])) < 0.01)
      #expect(try difference(left, update((1, 0), ["seed=43"])) > 0.1)
      #expect(try difference(left, update((0, 1)).map { -$0 }) < 0.01)
      #expect(try update((1, 0), ["dpo.inverted=true"]) == update((0, 1)))
    }
  }

  @Test("supervised tuning learns from preferred images alone, whatever the other ones are")
  func supervised() throws {
    try withTemporaryFolder { folder in
      func update(
        _ loss: String, labels: (Double, Double), other: Int? = nil
      ) throws -> [Float] {
        let run = run(
          in: folder, "workspace", ["dpo.loss=\(loss)", "dpo.steps=1", "dpo.batch=12"])
        let constant = try other.map(samplePNG)
        try run.makeSources(labels: [labels], second: { constant ?? $1 })
        try run.run(through: "dpo")
        return try ups(run)
      }
      let first = try update("supervised", labels: (1, 0))
      #expect(first.contains { $0 != 0 })
      #expect(try update("supervised", labels: (1, 0), other: 200) == first)
      #expect(try update("supervised", labels: (0, 1)) != first)
      #expect(try update("dpo", labels: (1, 0), other: 200) != update("dpo", labels: (1, 0)))
    }
  }

  @Test("the safeguard changes what is learned, however the batch is divided, and is logged")
  func safeguard() throws {
    func difference(_ a: [Float], _ b: [Float]) -> Float {
      zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } / a.reduce(0) { $0 + abs($1) }
    }
    try withTemporaryFolder { folder in
      func update(_ overrides: [String]) throws -> [Float] {
        let run = run(in: folder, "workspace", ["dpo.steps=2", "dpo.batch=6"] + overrides)
        try run.makeSources()
        try run.run(through: "dpo")
        return try ups(run)
      }
      let free = try update([])
      let metrics = "\(folder)/workspace/dpo/metrics.jsonl"
      #expect(try !String(contentsOfFile: metrics, encoding: .utf8).contains("loser_scale"))
      let safe = try update(["dpo.safeguard=0.9"])
      #expect(try String(contentsOfFile: metrics, encoding: .utf8).contains("loser_scale"))
      #expect(difference(free, safe) > 0.05)
      #expect(try difference(safe, update(["dpo.safeguard=0.9", "dpo.micro_batch=5"])) < 0.01)
    }
  }

  @Test("a report of supervised tuning shows what it measures, which nothing is compared with")
  func supervisedReport() throws {
    try withTemporaryFolder { folder in
      let whole = run(in: folder, "workspace", ["dpo.loss=supervised"])
      try whole.makeSources()
      try whole.run()
      func text(_ name: String) throws -> String {
        try String(contentsOfFile: "\(whole.workspace)/\(name)", encoding: .utf8)
      }
      let metrics = try text("dpo/metrics.jsonl")
      #expect(metrics.contains("\"gradient_norm\"") && !metrics.contains("implicit_accuracy"))
      let page = try text("report/index.html")
      #expect(page.contains("Supervised tuning on preferred images"))
      #expect(!page.contains("Agreement with the training labels"))
      #expect(!page.contains("Direct preference"))
    }
  }

  @Test("ties alone teach nothing")
  func ties() throws {
    try withTemporaryFolder { folder in
      let run = run(in: folder, "workspace", ["ingest.ties=soft"])
      try run.makeSources(labels: [(0.5, 0.5)])
      let failure = try #require(throws: (any Error).self) { try run.run() }
      #expect(FailureKind(failure) == .nothingLearned)
      #expect("\(failure)".contains("all 12 training comparisons are ties"), "\(failure)")
    }
  }
}
