import PipelineCore
import Stages
import TestSupport
import Testing

@Suite struct ModelFitTests {
  private func message(_ overrides: String...) throws -> String? {
    let root = fixturePath("../..")
    let pipeline = try Pipeline(
      path: "\(root)/pipelines/quickstart.json5", stages: stageTypes,
      overrides: ["model=\(root)/data/tiny-sd"] + overrides)
    do {
      try pipeline.checkFit()
      return nil
    } catch { return "\(error)" }
  }

  @Test(
    "settings that the model cannot follow are refused from its configuration",
    arguments: [
      ("spo.rank=33", "spo.rank: must be at most 32, the width of the narrowest attention layer"),
      ("spo.sampling_steps=1000", "spo.sampling_steps: "),
      ("report.sampling_steps=1000", "report.sampling_steps: "),
      ("encode.size=66", "encode.size: must be a multiple of 4"),
    ])
  func refused(override: String, expected: String) throws {
    let message = try message(override, "spo.stop_step=null") ?? "accepted"
    #expect(message.hasPrefix(expected), "\(message)")
  }

  @Test("what the model has is accepted")
  func accepted() throws {
    #expect(try message("spo.rank=32", "encode.size=64", "preference.timestep_limit=1000") == nil)
  }
}
