package import PipelineCore
package import StageSupport

/// Settings of `encode`.
package struct EncodeSettings: ModelSettings {
  @Setting(
    "The diffusion model: a diffusers folder or a checkpoint file; usually set for all stages.")
  package var model = ""
  @Setting("Tokenizer folder, for a checkpoint file; null: the model's own.")
  package var tokenizer: String? = nil
  @Setting("A VAE to use instead of the model's: a folder or a file; null: the model's own.")
  package var vae: String? = nil
  @Setting("Height and width of the encoded images; null: the model's native size.", in: 8...8_192)
  var size: Int? = nil
  @Setting(
    "What to store of the latent distribution; stage preference samples mean+logvar (published).")
  var latents = LatentForm.mean
  @Setting("Images or prompts encoded at a time.", in: 1...4_096)
  var batch = 8
  @Setting("Images with more pixels are rejected.", in: 1...1_000_000_000)
  var imagePixelLimit = 89_478_485
  @Setting("Stop if more than this fraction of the images cannot be encoded.", in: 0...1)
  var maxRejectFraction = 0.01

  package init() {}

  enum LatentForm: String, Codable, CaseIterable, Sendable {
    case mean
    case meanAndLogVariance = "mean+logvar"
  }

  package static let modelUse = ModelUse.encodes

  package func check() throws(SettingConflict) { try requireModel() }
}
