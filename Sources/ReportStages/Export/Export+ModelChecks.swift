import Backends
import Diffusion
import PipelineCore
import PreferenceModels
import StageSupport

extension Export: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    _ = try checked.configuration(settings.base)
  }
}
