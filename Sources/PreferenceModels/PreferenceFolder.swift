package import Checkpoints
public import Diffusion
public import NN

extension ModelFolder {
  /// Opens the preference model of a folder with `config.json`, weights and
  /// `preprocessor_config.json`.
  ///
  /// Published files prefix every key with `model.`. The weights of a CLIP model without time
  /// conditioning are accepted, too: missing weights are initialized such that the model equals
  /// that CLIP at every timestep.
  ///
  /// The path may also be that of a weights file of any name in such a folder.
  public func preferenceModel(
    isTrainable: Bool = false, seed: UInt64 = 0
  ) throws -> (model: PreferenceModel, weights: Weights) {
    let weights = try preferenceWeights(isTrainable: isTrainable, seed: seed)
    let model = try PreferenceModel(weights, try preferenceConfiguration())
    try weights.requireAllUsed()
    return (model, weights)
  }

  /// Opens only the image half of a preference model.
  public func imageScorer() throws -> ImageScorer {
    let weights = try preferenceWeights { !PromptEmbedder.owns($0) }
    let scorer = try ImageScorer(weights, try preferenceConfiguration())
    try weights.requireAllUsed()
    return scorer
  }

  /// Opens only the text half of a preference model.
  public func promptEmbedder() throws -> PromptEmbedder {
    let weights = try preferenceWeights(where: PromptEmbedder.owns)
    let embedder = try PromptEmbedder(weights, try preferenceConfiguration())
    try weights.requireAllUsed()
    return embedder
  }

  /// Opens the weights of a pixel preference model.
  package func preferenceCheckpoint() throws -> any CheckpointSource {
    isFile ? try weights(file: path) : try checkpoint("", stem: "model")
  }

  private func preferenceWeights(
    isTrainable: Bool = false, seed: UInt64 = 0, where isIncluded: (String) -> Bool = { _ in true }
  ) throws -> Weights {
    if let planned = plannedWeights(isTrainable: isTrainable) { return planned }
    let source = try CheckpointWeights(try preferenceCheckpoint()) { key in
      if key.hasSuffix("position_ids") { return nil }
      let name = key.hasPrefix("model.") ? String(key.dropFirst(6)) : key
      return isIncluded(name) ? name : nil
    }
    let isStepAware = source.names.contains(where: Self.isOfTimestep)
    return Weights(
      source, isTrainable: isTrainable, freshSeed: seed,
      isFresh: { !isStepAware && Self.isOfTimestep($0) })
  }

  /// Whether an array is one that CLIP does not have.
  private static func isOfTimestep(_ name: String) -> Bool {
    name.hasPrefix("t_embedder.") || name.contains("adaLN_modulation.")
  }

  /// Returns the files of a preference model: configurations and weights.
  public func preferenceFiles() -> (folder: String, weights: String?) {
    guard isFile else { return (path, nil) }
    let slash = path.lastIndex(of: "/")
    return (slash.map { String(path[..<$0]) } ?? ".", path)
  }
}

extension ModelFolder {
  /// Creates a trainable preference model with the folder's configuration and new weights.
  public func freshPreferenceModel(
    seed: UInt64
  ) throws -> (model: PreferenceModel, weights: Weights) {
    let weights = Weights(randomSeed: seed)
    return (try PreferenceModel(weights, try preferenceConfiguration()), weights)
  }

  /// The contents of a preference model's configuration files.
  public func preferenceConfiguration() throws -> PreferenceConfiguration {
    let folder = ModelFolder(path: preferenceFiles().folder)
    return try PreferenceConfiguration(
      try folder.configuration("."),
      preprocessor: try folder.configuration(".", "preprocessor_config.json"))
  }
}
