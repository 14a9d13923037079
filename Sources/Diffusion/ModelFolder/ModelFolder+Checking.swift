import Backends
import Checkpoints
import Files

extension ModelFolder {
  /// Checks a whole diffusion model before any work.
  ///
  /// Its configurations, that they go together, and the names and shapes of all weights, which are not read.
  ///
  /// - Throws: what opening the model would throw, but for numbers that are not finite
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

  /// Checks that the U-Net's file does not say that it predicts something else than the scheduler is told.
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
