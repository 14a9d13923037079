import Backends
import Diffusion
import Files
import NN
import PipelineCore

extension WriteReport: Estimating {
  var sources: [NamedSource] {
    [
      .model(settings.model),
      NamedSource(
        setting: "report.prompts", path: settings.prompts,
        what: "a JSON list of prompts to draw, [{\"caption\": \"...\"}]"),
    ]
  }

  func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan {
    var plan = StagePlan(on: backend)
    let prompts = try prompts()
    let painter = try plan.build {
      var tuning = scale.tuning ?? SPOSettings()
      tuning.model = settings.model
      return try Painter(settings, StepwiseTuner.freshAdapters(tuning))
    }
    let judging = try plan.build {
      try (settings.oracle == .none ? nil : scale.tuning).map {
        makeJudging(painter, $0, try $0.plannedJudge(scale))
      }
    }
    try plan.run(times: Double(prompts.count)) {
      try painter.decodedPictures(of: try painter.pipeline.conditioning(of: [""]))
    }
    guard let judging, !prompts.isEmpty else { return plan }
    let some = 0..<min(CandidateJudging.batch, prompts.count)
    let all = try candidateBatches().reduce(0) { $0 + $1.prompts.count }
    try plan.run(times: Double(all) / Double(some.count)) { try judging(prompts, some, draw: 0) }
    return plan
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let model = settings.base
    let side =
      try UNetConfiguration(model.configuration("unet")).sampleSize
      * AutoencoderConfiguration(model.configuration("vae")).reduction
    // PNG takes about two bytes a pixel.
    return try prompts().count * settings.picturesPerPrompt * 2 * 2 * side * side
  }

  var savings: [String] {
    settings.picturesPerPrompt > 1 ? ["report.pictures_per_prompt=1"] : []
  }
}
