public import Diffusion
public import NN

extension ModelFolder {
  /// The preference model of a folder with `config.json`, weights and `preprocessor_config.json`.
  ///
  /// Published files prefix every key with `model.`.
  public func preferenceModel(
    isTrainable: Bool = false
  ) throws -> (model: PreferenceModel, weights: Weights) {
    let source = try CheckpointWeights(try checkpoint("", stem: "model")) { key in
      if key.hasSuffix("position_ids") { return nil }
      return key.hasPrefix("model.") ? String(key.dropFirst(6)) : key
    }
    let weights = Weights(source, isTrainable: isTrainable)
    let model = try PreferenceModel(weights, try preferenceConfiguration())
    try weights.requireAllUsed()
    return (model, weights)
  }
}

extension ModelFolder {
  /// A trainable preference model of the folder's configuration, with fresh weights.
  public func freshPreferenceModel(
    seed: UInt64
  ) throws -> (model: PreferenceModel, weights: Weights) {
    let weights = Weights(randomSeed: seed)
    return (try PreferenceModel(weights, try preferenceConfiguration()), weights)
  }

  /// What `config.json` and `preprocessor_config.json` say.
  public func preferenceConfiguration() throws -> PreferenceConfiguration {
    try PreferenceConfiguration(
      try configuration("."),
      preprocessor: try configuration(".", "preprocessor_config.json"))
  }
}
