import Backends
package import Diffusion
import NN
package import PipelineCore
import PreferenceModels

/// A stage that opens models, which are checked before any stage runs.
package protocol ModelReading: Stage {
  /// Checks the configurations of all models that the settings name, that their parts go together, and the
  /// names and shapes of weights, without reading these.
  func checkModels(_ checked: CheckedModels) throws
}

/// Diffusion models that were checked, each once.
package final class CheckedModels {
  private var configurations: [String: ModelConfiguration] = [:]

  package init() {}

  package func configuration(_ folder: ModelFolder) throws -> ModelConfiguration {
    let key = [folder.path, folder.tokenizerPath ?? "", folder.autoencoderPath ?? ""]
      .joined(separator: "\n")
    if let known = configurations[key] { return known }
    let configuration = try folder.check()
    configurations[key] = configuration
    return configuration
  }

  /// Checks a preference model and that it goes with the diffusion model that it judges.
  ///
  /// - Parameter readsWeights: false where fresh ones are drawn
  package func checkPreference(
    _ folder: ModelFolder, of base: ModelFolder, readsWeights: Bool = true
  ) throws {
    if folder.isLatentPreferenceModel {
      try withBackend(PlanningBackend()) { _ = try folder.latentPreferenceModel(of: base) }
      return
    }
    let text = try configuration(base).prompts.parts[0]
    try folder.preferenceConfiguration().requireFit(
      text.tokenizer, "\(base.path)/\(text.tokenizerFolder)")
    guard readsWeights else { return }
    try withBackend(PlanningBackend()) { _ = try folder.preferenceModel() }
  }
}
