import Checkpoints
public import Diffusion
public import NN

extension ModelFolder {
  /// The preference model of a folder with `config.json`, weights and `preprocessor_config.json`.
  ///
  /// Published files prefix every key with `model.`. The weights of a CLIP model that was never told a
  /// timestep will do too: what they lack is drawn, such that the model equals that CLIP at every
  /// timestep.
  ///
  /// The path may also be that of a file of weights, in such a folder and under any name.
  public func preferenceModel(
    isTrainable: Bool = false, seed: UInt64 = 0
  ) throws -> (model: PreferenceModel, weights: Weights) {
    let checkpoint =
      isWeightFile ? try openCheckpoint(path) : try self.checkpoint("", stem: "model")
    let source = try CheckpointWeights(checkpoint) { key in
      if key.hasSuffix("position_ids") { return nil }
      return key.hasPrefix("model.") ? String(key.dropFirst(6)) : key
    }
    let isStepAware = source.names.contains(where: Self.isOfTimestep)
    let weights = Weights(
      source, isTrainable: isTrainable, freshSeed: seed,
      isFresh: { !isStepAware && Self.isOfTimestep($0) })
    let model = try PreferenceModel(weights, try preferenceConfiguration())
    try weights.requireAllUsed()
    return (model, weights)
  }

  /// Whether an array is of those that CLIP does not have.
  private static func isOfTimestep(_ name: String) -> Bool {
    name.hasPrefix("t_embedder.") || name.contains("adaLN_modulation.")
  }

  /// The files that a preference model is made of: the configurations and the weights.
  public func preferenceFiles() -> (folder: String, weights: String?) {
    guard isWeightFile else { return (path, nil) }
    let slash = path.lastIndex(of: "/")
    return (slash.map { String(path[..<$0]) } ?? ".", path)
  }

  private var isWeightFile: Bool {
    [".bin", ".safetensors", ".pt", ".pth"].contains { path.hasSuffix($0) }
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

  /// What the configuration files of a preference model say.
  public func preferenceConfiguration() throws -> PreferenceConfiguration {
    let folder = ModelFolder(path: preferenceFiles().folder)
    return try PreferenceConfiguration(
      try folder.configuration("."),
      preprocessor: try folder.configuration(".", "preprocessor_config.json"))
  }
}
