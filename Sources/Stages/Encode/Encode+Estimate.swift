import Diffusion
import NN
import PipelineCore

extension Encode: Estimating {
  var sources: [NamedSource] { [.model(settings.model)] }

  func memory(_ scale: PipelineScale) throws -> MemoryNeed {
    let model = try ModelParts(settings.model, scale)
    var images = MemoryNeed()
    images.add("weights of the autoencoder", bytes: try model.autoencoderSize().frozenByteCount)
    images.add("pictures", bytes: 3 * 4 * settings.batch * model.pictureCount)
    images.add([.init(working: model.encodingMemory(pictures: settings.batch))])
    var prompts = MemoryNeed()
    for (configuration, size) in try model.textEncoders() {
      prompts.add("weights of the text encoder", bytes: size.frozenByteCount)
      prompts.add([
        .init(
          working: settings.batch
            * configuration.transformer.forwardMemory(tokens: configuration.tokens))
      ])
    }
    // The autoencoder is gone when the text encoders come.
    var need = images.byteCount > prompts.byteCount ? images : prompts
    need.addPages(of: diskByteCount(scale))
    return need
  }

  func diskByteCount(_ scale: PipelineScale) -> Int {
    scale.volume.images * Self.entryByteCount(scale.latentByteCount)
      + (1 + scale.volume.prompts) * Self.entryByteCount(scale.promptByteCount)
  }

  /// What an encoding takes in the database: pages of its own where it is long, and the rest, with its keys,
  /// on a page with others as far as they fit.
  private static func entryByteCount(_ value: Int) -> Int {
    let (page, inPage, keys, indexed) = (4096, 4060, 110, 100)
    let rest = value % (page - 4) + keys
    return value / (page - 4) * page + page / max(1, inPage / rest) + indexed
  }

  func seconds(_ scale: PipelineScale, _ times: ModelTimes) -> Double {
    let image = scale.volume.secondsPerImage + times.encoding.seconds
    return Double(scale.volume.images) * image + Double(scale.volume.prompts) * times.text.seconds
  }

  var savings: [String] { settings.batch > 1 ? ["encode.batch=1"] : [] }
}

extension NamedSource {
  /// The model that is tuned, which all stages share.
  static func model(_ path: String) -> NamedSource {
    NamedSource(
      setting: "model", path: path, what: "the diffusion model to tune, a folder of diffusers")
  }
}

extension ModelParts {
  /// Of one image, in half precision.
  func latentByteCount(_ form: EncodeSettings.LatentForm) -> Int {
    2 * latentCount * (form == .mean ? 1 : 2)
  }

  /// Of one prompt's hidden states and pooled text, in half precision.
  func promptByteCount() throws -> Int {
    let encoders = try textEncoders().map(\.configuration)
    let width = encoders.reduce(0) { $0 + $1.transformer.width }
    let pooled = encoders.count > 1 ? encoders[1].projectionWidth : 0
    return 2 * (width * (encoders.first?.tokens ?? 77) + pooled)
  }
}
