import Backends
import Checkpoints
import Files

extension ModelFolder {
  /// Checks a whole diffusion model before any work.
  ///
  /// Covers its configurations, their compatibility, and the names and shapes of all weights, which
  /// are not read.
  ///
  /// - Throws: the errors of opening the model, except for non-finite numbers
  @discardableResult
  public func check() throws -> ModelConfiguration {
    let configuration = try ModelConfiguration(self)
    try withBackend(PlanningBackend()) {
      _ = try unet()
      _ = try autoencoder()
      for part in configuration.prompts.parts { _ = try textEncoder(part.encoderFolder) }
    }
    try requireMarks(configuration)
    return configuration
  }

  /// Returns all problems of a model: missing parts that its index names, configurations and
  /// weights that do not load, and non-finite numbers.
  ///
  /// Reads all weights. A single file has no tokenizer to check.
  package func problems() -> [any Error] {
    var problems: [any Error] = []
    func attempt(_ check: () throws -> Void) {
      do { try check() } catch  where !problems.contains(where: { "\($0)" == "\(error)" }) {
        problems.append(error)
      } catch {}
    }
    attempt { problems += try missingParts() }
    // Without an autoencoder it is not a diffusion model, or the problem is known.
    if !isFile, hasPart("vae"), problems.isEmpty {
      attempt { try requireMarks(try ModelConfiguration(self)) }
    }
    let parts = ["unet", "vae", "text_encoder", "text_encoder_2"]
    for part in parts where hasPart(part) {
      attempt {
        let weights = try checkpoint(
          part, stem: part.hasPrefix("text_encoder") ? "model" : "diffusion_pytorch_model")
        try withBackend(PlanningBackend()) { try requireShapes(part) }
        problems += weights.nonFinite()
      }
    }
    return problems
  }

  /// Builds a part from the names and shapes of its weights.
  private func requireShapes(_ part: String) throws {
    switch part {
    // A latent preference model, which is a folder, uses only the down path.
    case "unet" where !hasPart("vae") && !isFile: _ = try unetEncoder()
    case "unet": _ = try unet()
    case "vae": _ = try autoencoder()
    default: _ = try textEncoder(part)
    }
  }

  /// Returns errors for missing parts that pipelines need.
  private func missingParts() throws -> [ModelFolderError] {
    guard hasPart(Self.indexName) else { return [] }
    let index = try JSONReader(contentsOf: "\(path)/\(Self.indexName)")
    return try Self.parts(in: index.object(), index.path)
      .filter { !hasPart($0) && !Self.optionalParts.contains($0) }
      .map { .noPart(path: path, part: $0) }
  }

  /// Checks that the U-Net's file does not contradict the scheduler's prediction type.
  private func requireMarks(_ configuration: ModelConfiguration) throws {
    let checkpoint = try checkpoint("unet", stem: "diffusion_pytorch_model")
    guard let marked = try CheckpointMarks(checkpoint).prediction else { return }
    let prediction = try configuration.scheduler.predictionType()
    guard marked == prediction else {
      throw ConfigurationError.misfit(
        path: configuration.scheduler.json.path,
        reason: "prediction_type is \(prediction.rawValue), but \(checkpoint.path) is marked as "
          + "\(marked.rawValue)")
    }
  }
}
