import Diffusion
import PipelineCore
import StageSupport

/// The models of a pipeline's stages, which must agree because stages read what others made with
/// theirs.
struct ModelAgreement {
  private struct Named {
    let setting: String
    let folder: ModelFolder
  }

  /// The model that makes the latents and embeddings for the others.
  private var encoding: Named?
  private var training: [Named] = []
  /// The model whose LoRA the others use.
  private var tuned: Named?
  private var taking: [Named] = []

  init(_ stages: [any Stage]) {
    for stage in stages {
      guard let settings = (stage as? any Estimating)?.settings as? any ModelSettings else {
        continue
      }
      let model = Named(setting: "\(type(of: stage).name).model", folder: settings.base)
      switch type(of: settings).modelUse {
      case .encodes: encoding = model
      case .trains: training.append(model)
      case .tunes:
        training.append(model)
        // Two LoRAs go to the same stages.
        if tuned == nil { tuned = model } else { taking.append(model) }
      case .takesLoRA: taking.append(model)
      }
    }
  }

  /// Each model once.
  var folders: [ModelFolder] {
    ([encoding, tuned].compactMap { $0 } + training + taking).map(\.folder)
      .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  /// Rejects models that cannot read what was made with the others; missing or damaged ones are
  /// reported elsewhere.
  func check() throws {
    if let encoding {
      for other in training {
        try compare(other, encoding, Self.encodingTraits)
      }
    }
    guard let tuned else { return }
    for other in taking {
      try compare(other, tuned) { model in
        Self.encodingTraits(model) + [
          ("cross_attention_dim", "\(model.unet.contextWidth)"),
          ("block_out_channels", "\(model.unet.channels)"),
          ("layers_per_block", "\(model.unet.layersPerBlock)"),
          ("transformer_layers_per_block", "\(model.unet.transformerLayers)"),
          ("attention heads", "\(model.unet.heads)"),
          ("prediction_type", (try? model.scheduler.predictionType()).map { "\($0)" } ?? "unknown"),
        ]
      }
    }
  }

  /// What latents and embeddings depend on.
  private static func encodingTraits(
    _ model: ModelConfiguration
  ) -> [(name: String, value: String)] {
    [
      ("text width", "\(model.prompts.width)"),
      ("tokens per prompt", "\(model.prompts.tokens)"),
      ("width of pooled text", "\(model.prompts.pooledWidth ?? 0)"),
      ("latent_channels", "\(model.autoencoder.latentChannels)"),
      ("pixels per latent", "\(model.autoencoder.reduction)"),
      ("scaling_factor", "\(model.autoencoder.scalingFactor)"),
    ]
  }

  private func compare(
    _ other: Named, _ first: Named,
    _ traits: (ModelConfiguration) -> [(name: String, value: String)]
  ) throws {
    guard other.folder != first.folder, let found = try? ModelConfiguration(other.folder),
      let expected = try? ModelConfiguration(first.folder)
    else { return }
    for (own, wanted) in zip(traits(found), traits(expected)) where own.value != wanted.value {
      throw PipelineError.badSetting(
        path: other.setting,
        reason:
          "\(other.folder.path) does not match \(first.setting), \(first.folder.path): \(own.name) "
          + "\(own.value) and \(wanted.value); name one model for all stages")
    }
  }
}
