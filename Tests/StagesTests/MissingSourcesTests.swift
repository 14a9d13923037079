import Files
import PipelineCore
import StageSupport
import Stages
import Testing

extension DoctorTests {
  @Test("a model that one stage alone has is named with the stage; a run says the same as doctor")
  func ownModelMissing() throws {
    for stage in ["encode", "preference", "spo", "export", "report"] {
      let overrides = Self.paths + ["\(stage).model=/nothere"]
      let problems = try doctor(overrides: overrides).problems
      let problem = try #require(problems.first)
      #expect(
        problem.description.hasPrefix("\(stage).model: /nothere does not exist: ")
          && problem.remedy.hasSuffix("--set \(stage).model=PATH") && problem.kind == .input,
        "\(problem)")
      let refused = try refusal(of: stage, "quickstart", memory: 1 << 40, overrides: overrides)
      #expect(refused?.description == problem.description)
    }
    let all = try doctor(overrides: Self.paths + ["model=/nothere"]).problems
    #expect(
      all.map(\.what) == [
        "model: /nothere does not exist: the diffusion model to tune, a diffusers folder"
      ])
    let parts = ["tokenizer=/nothere", "vae=/nowhere"]
    #expect(
      try doctor(overrides: Self.paths + parts).problems.map(\.what) == [
        "tokenizer: /nothere does not exist: the folder of the model's tokenizer",
        "vae: /nowhere does not exist: the VAE to use instead of the model's",
      ])
  }

  @Test("what is missing does not hide a disk that is too small")
  func diskBesideMissing() throws {
    let prompts = Self.paths.filter { $0.hasPrefix("report.") }
    let problems = try doctor("sd15", freeDisk: 1 << 30, overrides: prompts).problems
    #expect(problems.contains { $0.kind == .space && $0.what.contains("is free") }, "\(problems)")
    #expect(problems.contains { $0.kind == .input })
  }

  @Test("settings that save nothing are not advised")
  func spareAdvice() throws {
    let needs = try #require(try doctor().forecasts.first { $0.stage == "spo" })
      .memory.byteCount(in: .machine)
    for percent in stride(from: 70, through: 98, by: 7) {
      let memory = needs / 100 * percent
      guard
        let refused = try refusal(of: "spo", "quickstart", memory: memory, overrides: Self.paths)
      else { continue }
      let settings = advice(refused)
      for setting in settings {
        let others = settings.filter { $0 != setting }
        let left = try refusal(
          of: "spo", "quickstart", memory: memory, overrides: Self.paths + others)
        #expect(left != nil, "\(refused), without \(setting)")
      }
    }
  }
}
