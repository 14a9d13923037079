import Autograd
import Backends
import Catalog
import Diffusion
import PipelineCore
package import Shards
import StageSupport

extension Encode: Estimating {
  private var model: ModelFolder { settings.base }

  package func layout() throws -> ShardLayout {
    let configuration = try ModelConfiguration(model)
    return ShardLayout(
      configuration, side: try EncoderIdentity.size(settings, configuration),
      hasLogVariance: settings.latents != .mean)
  }

  func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan {
    let layout = try scale.layout ?? layout()
    let model = model
    var plan = StagePlan(on: backend)
    let reduction = try AutoencoderConfiguration(model.configuration("vae")).reduction
    let side = layout.latentHeight * reduction
    let (images, prompts) = (scale.volume.images, scale.volume.prompts)
    let together = DataVolume.largestBatch(settings.batch, of: images)
    do {
      let encoder = try plan.build {
        try LatentEncoder(model, size: side, hasLogVariance: layout.hasLogVariance)
      }
      // Ids begin with 1, so the first block lacks one image, and its memory suits none of the others.
      if together > 1, images == 0 || images >= settings.batch {
        try plan.run(times: 0) {
          try encoder.moments(of: Tensor(repeating: 0, shape: [together - 1, side, side, 3]))
        }
      }
      try plan.run(times: Double(images) / Double(together)) {
        try encoder.moments(of: Tensor(repeating: 0, shape: [together, side, side, 3]))
      }
    }
    // The autoencoder is gone when the text encoders come.
    let encoder = try plan.build { try PromptEncoder(model) }
    // The empty prompt is always needed.
    let texts = DataVolume.largestBatch(settings.batch, of: prompts == 0 ? 0 : prompts + 1)
    try plan.run(times: Double(prompts + 1) / Double(texts)) {
      try encoder([String](repeating: "", count: texts))
    }
    plan.addImages(together, side: side)
    plan.addPages(ofDatabase: scale.cacheByteCount)
    plan.add(seconds: Double(images) * scale.volume.secondsPerImage)
    return plan
  }

  func diskByteCount(_ scale: PipelineScale) -> Int { scale.cacheByteCount }

  func itemCount(_ scale: PipelineScale) -> Int { scale.volume.blockCount(of: settings.batch) }

  var savings: [String] { settings.batch > 1 ? ["encode.batch=1"] : [] }
}

extension DataVolume {
  /// The blocks of images and of prompts that are encoded at once.
  func blockCount(of batch: Int) -> Int { (images + batch - 1) / batch + prompts / batch + 1 }
}

extension PipelineScale {
  /// What all encodings take in the cache.
  var cacheByteCount: Int {
    volume.images * Self.entryByteCount(latentByteCount)
      + (1 + volume.prompts) * Self.entryByteCount(promptByteCount)
  }

  /// What an encoding takes in the database: pages of its own where it is long, and the rest, with its keys,
  /// on a page with others as far as they fit.
  private static func entryByteCount(_ value: Int) -> Int {
    let (page, inPage, keys, indexed) = (4096, 4060, 110, 100)
    let rest = value % (page - 4) + keys
    return value / (page - 4) * page + page / max(1, inPage / rest) + indexed
  }
}

extension StagePlan {
  /// Counts images as they were decoded, and one after another.
  mutating func addImages(_ count: Int, side: Int) {
    add("images", bytes: 2 * 4 * count * 3 * side * side)
  }

  /// Counts the pages of a database that stay in memory.
  mutating func addPages(ofDatabase byteCount: Int) {
    add("database pages", bytes: min(Database.cacheByteLimit, byteCount))
  }
}
