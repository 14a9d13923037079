import Backends
import Diffusion
import PipelineCore
import PreferenceModels
import StageSupport

extension Export: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    try Provenance.checkDate()
    _ = try checked.configuration(settings.base)
  }
}
