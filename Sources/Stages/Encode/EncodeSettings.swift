import Diffusion
import PipelineCore

/// Settings of `encode`.
struct EncodeSettings: StageSettings {
  /// The model, a folder in the layout of diffusers or a checkpoint file; usually set once for all
  /// stages.
  var model = ""
  /// A folder with the tokenizer, for a checkpoint file; null: the model's own.
  var tokenizer: String?
  /// Height and width of the pictures that are encoded; null: the model's own.
  var size: Int?
  /// What is kept of a latent's distribution: its `mean`, or `mean+logvar`, from which stage `preference`
  /// then draws a latent each time that it looks, as published; twice the space.
  var latents = LatentForm.mean
  /// Images or prompts that are encoded together.
  var batch = 8
  /// Larger images are refused (width times height).
  var imagePixelLimit = 89_478_485
  /// Stop when a larger part of the images cannot be encoded.
  var maxRejectFraction = 0.01

  enum LatentForm: String, Codable, CaseIterable, Sendable {
    case mean
    case meanAndLogVariance = "mean+logvar"
  }

  func validate() throws(PipelineError) {
    guard !model.isEmpty else {
      throw .badSetting(
        path: "model", reason: "is missing: the folder or file of the model to tune")
    }
    guard (1...4_096).contains(batch) else {
      throw .badSetting(path: "encode.batch", reason: "must be between 1 and 4096")
    }
    guard imagePixelLimit >= 1 else {
      throw .badSetting(path: "encode.image_pixel_limit", reason: "must be at least 1")
    }
    guard (0...1).contains(maxRejectFraction) else {
      throw .badSetting(path: "encode.max_reject_fraction", reason: "must be between 0 and 1")
    }
  }
}
