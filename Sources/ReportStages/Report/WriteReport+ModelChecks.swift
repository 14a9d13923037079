import Backends
import Diffusion
import PipelineCore
import PreferenceModels
import ProceduralWorld
import StageSupport

extension WriteReport: ModelFitting {
  func checkFit() throws {
    try settings.base.require(steps: settings.samplingSteps, of: "report.sampling_steps")
    guard settings.oracle != .none else { return }
    if let side = try? ModelConfiguration(settings.base).imageSide, side != Picture.side {
      throw PipelineError.badSetting(
        path: "report.oracle",
        reason: "scores images of \(Picture.side) x \(Picture.side) pixels, but "
          + "\(settings.model) generates \(side) x \(side)")
    }
    // Those of a split are not there yet.
    guard settings.split == nil, let prompts = try? prompts() else { return }
    for prompt in prompts {
      do throws(ScenePromptError) { _ = try Scene(prompt: prompt) } catch {
        throw PipelineError.badSetting(
          path: "report.oracle",
          reason:
            "understands only prompts of the embedded world; set report.oracle=none for others "
            + "(\(settings.prompts): \(error))")
      }
    }
  }
}

extension WriteReport: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    _ = try DDIMScheduler(checked.configuration(settings.base).scheduler)
  }
}
