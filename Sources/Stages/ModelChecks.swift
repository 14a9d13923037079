import Backends
import Diffusion
import NN
import PipelineCore
import PreferenceModels

/// A stage that opens models, which are checked before any stage runs.
protocol ModelReading: Stage {
  /// Checks the configurations of all models that the settings name, that their parts go together, and the
  /// names and shapes of weights, without reading these.
  func checkModels(_ checked: CheckedModels) throws
}

/// Diffusion models that were checked, each once.
final class CheckedModels {
  private var configurations: [String: ModelConfiguration] = [:]

  func configuration(_ folder: ModelFolder) throws -> ModelConfiguration {
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
  func checkPreference(
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

extension Encode: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    let model = try checked.configuration(
      settings.base)
    try model.requireFeasible(imageSide: try Encodings.size(settings, model))
  }
}

extension Label: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    try withBackend(PlanningBackend()) {
      _ = try ModelFolder(path: settings.scorer).preferenceModel()
    }
  }
}

extension TrainPreference: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    let base = settings.base
    _ = try DDIMScheduler(checked.configuration(base).scheduler)
    let start = ModelFolder(path: settings.start)
    guard settings.kind == .latent, settings.start.isEmpty || !start.isLatentPreferenceModel
    else {
      return try checked.checkPreference(start, of: base, readsWeights: !settings.startsFresh)
    }
    try withBackend(PlanningBackend()) {
      _ = try base.startingLatentPreferenceModel(
        textProjection: settings.start.isEmpty ? nil : start, guidance: settings.featureGuidance,
        seed: settings.seed)
    }
  }
}

extension TuneSPO: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    _ = try DDIMScheduler(checked.configuration(settings.base).scheduler)
    if let start = settings.start {
      try withBackend(PlanningBackend()) {
        let adapters = TunedUNet.freshAdapters(rank: settings.rank, seed: settings.seed)
        _ = try settings.base.unet(adapters: adapters)
        try StartingLoRA(path: start, of: settings.base).requireFit(adapters)
      }
    }
    guard let preference = settings.preference else { return }
    try checked.checkPreference(ModelFolder(path: preference), of: settings.base)
  }
}

extension TuneDPO: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    _ = try DDIMScheduler(checked.configuration(settings.base).scheduler)
  }
}

extension Export: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    try Provenance.checkDate()
    _ = try checked.configuration(
      settings.base)
  }
}

extension WriteReport: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    _ = try DDIMScheduler(checked.configuration(settings.base).scheduler)
  }
}
