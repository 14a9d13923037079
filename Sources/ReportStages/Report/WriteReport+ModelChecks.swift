import Backends
import Diffusion
import PipelineCore
import PreferenceModels
import ProceduralWorld
import StageSupport

extension WriteReport: ModelFitting {
  func checkFit() throws {
    try settings.base.require(steps: settings.samplingSteps, of: "report.sampling_steps")
    guard settings.oracle != .none, let side = try? ModelConfiguration(settings.base).imageSide,
      side != Picture.side
    else { return }
    throw PipelineError.badSetting(
      path: "report.oracle",
      reason: "scores images of \(Picture.side) x \(Picture.side) pixels, but "
        + "\(settings.model) generates \(side) x \(side)")
  }
}

extension WriteReport: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    _ = try DDIMScheduler(checked.configuration(settings.base).scheduler)
  }
}
