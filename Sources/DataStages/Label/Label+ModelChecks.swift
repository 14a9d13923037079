import Backends
import Diffusion
import PipelineCore
import PreferenceModels
import StageSupport

extension Label: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    try withBackend(PlanningBackend()) {
      _ = try ModelFolder(path: settings.scorer).preferenceModel()
    }
  }
}

extension LabelSettings {
  /// - Parameter encode: the stage whose tokenizer truncates the prompts
  /// - Throws: `PreferenceConfigurationError.otherTokenizer`
  package func checkTokenizer(of encode: EncodeSettings) throws {
    try passingOtherTokenizers {
      try ModelFolder(path: scorer).requirePreferenceTokens(of: encode.base)
    }
  }
}
