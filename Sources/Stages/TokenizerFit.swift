import Diffusion
import PreferenceModels

/// Refuses preference models that read other tokens than the diffusion model's tokenizer makes; what is
/// missing or damaged is for others to say.
private func passingOtherTokenizers(_ check: () throws -> Void) throws {
  do {
    try check()
  } catch PreferenceConfigurationError.otherTokenizer(let path, let reason, let tokenizer) {
    throw PreferenceConfigurationError.otherTokenizer(
      path: path, reason: reason, tokenizer: tokenizer)
  } catch {}
}

extension SPOSettings {
  /// - Throws: `PreferenceConfigurationError.otherTokenizer`
  func checkTokenizer() throws {
    guard let folder = preference.map({ ModelFolder(path: $0) }) else { return }
    try passingOtherTokenizers {
      if folder.isLatentPreferenceModel {
        try folder.requireLatentPreferenceTokens(of: base)
      } else {
        try folder.requirePreferenceTokens(of: base)
      }
    }
  }
}

extension PreferenceSettings {
  /// - Throws: `PreferenceConfigurationError.otherTokenizer`
  func checkTokenizer() throws {
    let start = ModelFolder(path: start)
    try passingOtherTokenizers {
      switch kind {
      case .pixel: try start.requirePreferenceTokens(of: base)
      case .latent:
        // Of a CLIP model only the projection is taken.
        guard !self.start.isEmpty, start.isLatentPreferenceModel else { return }
        try start.requireLatentPreferenceTokens(of: base)
      }
    }
  }
}

extension LabelSettings {
  /// - Parameter encode: whose tokenizer cuts the prompts
  /// - Throws: `PreferenceConfigurationError.otherTokenizer`
  func checkTokenizer(of encode: EncodeSettings) throws {
    try passingOtherTokenizers {
      try ModelFolder(path: scorer).requirePreferenceTokens(
        of: encode.base)
    }
  }
}
