import Files
import Foundation
import PipelineCore
import Ranks
import TestSupport
import Testing

/// GradSPO: its loss, and candidates sampled from averaged weights.
@Suite struct GradientGuidanceTests {
  private static let lora = "spo/pytorch_lora_weights.safetensors"

  private func run(in folder: String, _ workspace: String, _ overrides: [String]) -> MiniatureRun {
    MiniatureRun(
      in: folder, workspace: workspace,
      overrides: ["spo.iterations=3", "spo.pictures=0", "spo.held_out_every=9"] + overrides)
  }

  private func bytes(_ run: MiniatureRun, _ name: String) throws -> [UInt8] {
    try RegularFile(path: "\(run.workspace)/\(name)").readAll()
  }

  @Test("averages that forget at once are the newest weights; others sample other candidates")
  func averages() throws {
    try withTemporaryFolder { folder in
      func lora(_ overrides: [String]) throws -> [UInt8] {
        let run = self.run(in: folder, "workspace", overrides)
        try run.run(through: "spo")
        return try bytes(run, Self.lora)
      }
      try self.run(in: folder, "workspace", []).makeSources()
      let plain = try lora([])
      #expect(try lora(["spo.average_decay=0"]) == plain)
      let averaged = try lora(["spo.average_decay=0.9"])
      #expect(averaged != plain)
      let guided = try lora(["spo.loss=gradspo", "spo.average_decay=0.9"])
      #expect(guided != averaged && guided != plain)
      #expect(
        try lora(["spo.loss=gradspo", "spo.average_decay=0.9", "spo.target_step=1"]) != guided)
    }
  }

  @Test("a killed run ends with the same bytes, and so do ranks")
  func sameBytes() throws {
    try withTemporaryFolder { folder in
      let settings = ["spo.loss=gradspo", "spo.average_decay=0.5"]
      let whole = self.run(in: folder, "whole", settings)
      try whole.makeSources()
      var moments: [MiniatureRun] = []
      try whole.run(through: "spo") { event in
        guard case .advanced(let progress) = event, progress.stage == "spo" else { return }
        let moment = self.run(in: folder, "moment-\(moments.count)", settings)
        try FileManager.default.copyItem(atPath: whole.workspace, toPath: moment.workspace)
        moments.append(moment)
      }
      #expect(moments.count >= 3)
      let resumed = moments[1]
      let ranked = self.run(in: folder, "ranked", settings)
      _ = try ThreadRanks.run(2) { try ranked.run(over: $0, through: "spo") }
      // Ranks that continue from what another run has saved.
      _ = try ThreadRanks.run(2) { try resumed.run(over: $0, through: "spo") }
      for other in moments { try other.run(through: "spo") }
      for other in moments + [ranked] {
        for name in [Self.lora, "spo/metrics.jsonl"] {
          let expected = try bytes(whole, name)
          #expect(try bytes(other, name) == expected, "\(name), \(other.workspace)")
        }
      }
    }
  }
}
