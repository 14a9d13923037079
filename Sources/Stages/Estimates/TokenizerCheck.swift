import Diffusion
public import PipelineCore
import PreferenceModels

/// Refuses preference models that read other tokens than the diffusion model's tokenizer makes, before any
/// prompt is cut into tokens.
public struct TokenizerCheck {
  private let pipeline: Pipeline

  public init(_ pipeline: Pipeline) { self.pipeline = pipeline }

  /// - Throws: `PreferenceConfigurationError.otherTokenizer`, and what ends the reading of a configuration
  public func require(_ stage: any Stage) throws {
    switch stage {
    case let label as Label: try require(label)
    case let train as TrainPreference: try Self.require(train.settings)
    case let tune as TuneSPO: try Self.require(tune.settings)
    default: break
    }
  }

  private func require(_ label: Label) throws {
    // Its prompts come from the catalog, with the tokenizer of the model that they are encoded for.
    guard
      let encode = try pipeline.estimatingStages().lazy.compactMap({ $0 as? Encode }).first
    else { return }
    try ModelFolder(path: label.settings.scorer).requirePreferenceTokens(
      of: ModelFolder(path: encode.settings.model, tokenizer: encode.settings.tokenizer))
  }

  private static func require(_ settings: PreferenceSettings) throws {
    let start = ModelFolder(path: settings.start)
    let base = ModelFolder(path: settings.model, tokenizer: settings.tokenizer)
    switch settings.kind {
    case .pixel: try start.requirePreferenceTokens(of: base)
    case .latent:
      // Of a CLIP model only the projection is taken.
      guard !settings.start.isEmpty, start.isLatentPreferenceModel else { return }
      try start.requireLatentPreferenceTokens(of: base)
    }
  }

  private static func require(_ settings: SPOSettings) throws {
    guard let folder = settings.preference.map({ ModelFolder(path: $0) }) else { return }
    if folder.isLatentPreferenceModel {
      try folder.requireLatentPreferenceTokens(of: settings.base)
    } else {
      try folder.requirePreferenceTokens(of: settings.base)
    }
  }
}
