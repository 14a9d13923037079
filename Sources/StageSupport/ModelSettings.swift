package import Diffusion
package import PipelineCore

/// Settings of a stage that computes with the pipeline's diffusion model.
package protocol ModelSettings: StageSettings {
  /// What the stage does with it.
  static var modelUse: ModelUse { get }
  /// A diffusers folder or a checkpoint file.
  var model: String { get }
  /// A folder, for a checkpoint file; nil: the model's own.
  var tokenizer: String? { get }
  /// Nil: the model's own.
  var vae: String? { get }
}

/// What stages do with the diffusion model, which tells whose models must agree.
package enum ModelUse {
  /// It makes the latents and embeddings of others.
  case encodes
  /// It trains on those.
  case trains
  /// It trains a LoRA of the model on them.
  case tunes
  /// It takes such a LoRA.
  case takesLoRA
}

extension ModelSettings {
  package var base: ModelFolder { ModelFolder(path: model, tokenizer: tokenizer, vae: vae) }

  /// The files of the model.
  package var modelSources: [NamedSource] {
    [
      NamedSource(
        setting: "model", path: model, what: "the diffusion model to tune, a diffusers folder",
        standIn: .named(by: model, isCLIP: false))
    ]
      + (tokenizer.map {
        [NamedSource(setting: "tokenizer", path: $0, what: "the folder of the model's tokenizer")]
      } ?? [])
      + (vae.map {
        [NamedSource(setting: "vae", path: $0, what: "the VAE to use instead of the model's")]
      } ?? [])
  }

  /// Refuses a stage whose diffusion model was not named.
  package func requireModel() throws(SettingConflict) {
    guard !model.isEmpty else {
      throw SettingConflict(
        "model", "is missing: the folder or file of the diffusion model, set once for all stages")
    }
  }
}
