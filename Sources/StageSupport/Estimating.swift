package import Backends
package import Diffusion
package import PipelineCore
package import Shards

/// A stage that can tell what it will take before it runs.
///
/// Its own code is run on a backend that counts, one unit of each kind of work. Numbers are for the whole
/// stage, as if nothing of it were done.
package protocol Estimating: Stage {
  var settings: Settings { get }

  /// Files and folders that the settings name, from outside the workspace.
  var sources: [NamedSource] { get }

  /// Runs a unit of each kind of work, and counts how many there are.
  ///
  /// - Parameter backend: one that counts; on another the units are computed, from made-up data
  func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan

  /// Bytes that the stage adds to the workspace, at most at one time.
  func diskByteCount(_ scale: PipelineScale) throws -> Int

  /// How many items there are to divide.
  func itemCount(_ scale: PipelineScale) throws -> Int

  /// What all parts of the stage do and write together, where that is not the whole stage; nil: it is.
  func planOfParts(
    _ scale: PipelineScale, on backend: any Backend
  ) throws -> (plan: StagePlan, byteCount: Int)?

  /// Settings that need less memory, as `--set` takes them, the cheapest first.
  var savings: [String] { get }

  /// Settings that write less, in the same way.
  var diskSavings: [String] { get }
}

extension Estimating where Settings: ModelSettings {
  package var sources: [NamedSource] { settings.modelSources }
}

extension Estimating {
  package var sources: [NamedSource] { [] }
  package func itemCount(_ scale: PipelineScale) throws -> Int { 1 }
  package func planOfParts(
    _ scale: PipelineScale, on backend: any Backend
  ) throws -> (plan: StagePlan, byteCount: Int)? { nil }
  package var savings: [String] { [] }
  package var diskSavings: [String] { [] }
}

/// Something that a setting names.
package struct NamedSource {
  /// As `--set` takes it, such as `preference.start`.
  package var setting: String
  package let path: String
  /// In words, such as `the folder of the model to tune`.
  package let what: String
  /// What `--set` takes instead of `SETTING=PATH`.
  package let override: String?
  /// What is known of it without its files; nil: nothing.
  package let standIn: PublishedModel?

  package init(
    setting: String, path: String, what: String, override: String? = nil,
    standIn: PublishedModel? = nil
  ) {
    (self.setting, self.path, self.what) = (setting, path, what)
    (self.override, self.standIn) = (override, standIn)
  }

  /// A LoRA whose training continues.
  package static func start(_ path: String?, stage: String) -> [NamedSource] {
    path.map {
      [NamedSource(setting: "\(stage).start", path: $0, what: "the LoRA file to start from")]
    } ?? []
  }

  package static func clip(_ setting: String, _ path: String, _ what: String) -> NamedSource {
    NamedSource(
      setting: setting, path: path, what: what, standIn: .named(by: path, isCLIP: true))
  }
}

/// How large a pipeline's images and data are.
public struct PipelineScale {
  private let stages: [any Estimating]
  /// What images and prompts are encoded to; nil where no stage encodes any.
  package let layout: ShardLayout?
  package let volume: DataVolume

  package init(_ stages: [any Estimating], layout: ShardLayout?, volume: DataVolume) {
    (self.stages, self.layout, self.volume) = (stages, layout, volume)
  }

  /// The pipeline's stage of a type, if it has one.
  package func stage<S: Estimating>(_ type: S.Type) -> S? {
    stages.lazy.compactMap { $0 as? S }.first
  }

  /// The encodings of a model's own size, if no stage makes others.
  package func layout(of model: ModelFolder) throws -> ShardLayout {
    try layout ?? ShardLayout(ModelConfiguration(model), side: nil, hasLogVariance: false)
  }

  /// Of the encodings of one image and of one prompt, in half precision.
  package var latentByteCount: Int {
    layout.map { 2 * $0.latentCount * ($0.hasLogVariance ? 2 : 1) } ?? 0
  }
  package var promptByteCount: Int { layout.map { 2 * ($0.embeddingCount + $0.pooledWidth) } ?? 0 }
}

extension ShardLayout {
  /// What images and prompts are encoded to.
  ///
  /// - Parameter side: height and width of the images; the model's own if nil
  package init(_ model: ModelConfiguration, side: Int?, hasLogVariance: Bool) {
    let side = side ?? model.imageSide
    let latentSide = side / model.autoencoder.reduction
    self.init(
      latentChannels: model.autoencoder.latentChannels, latentHeight: latentSide,
      latentWidth: latentSide, tokens: model.prompts.tokens, textWidth: model.prompts.width,
      hasLogVariance: hasLogVariance,
      pooledText: model.prompts.pooledWidth.map {
        .init(width: $0, sizes: [side, side, 0, 0, side, side])
      })
  }

  /// Height, width and channels of a latent.
  package var imageShape: [Int] { [latentHeight, latentWidth, latentChannels] }

  /// Of an image as PNG, which takes about two bytes a pixel.
  package func pngByteCount(of model: ModelFolder) throws -> Int {
    let side = try AutoencoderConfiguration(model.configuration("vae")).reduction
    return 2 * latentHeight * latentWidth * side * side
  }
}
