import Autograd
import Backends
import Diffusion
import PipelineCore
import PreferenceModels
import StageSupport

extension Label: Estimating {
  var sources: [NamedSource] {
    [.clip("label.scorer", settings.scorer, "the CLIP model that labels, such as PickScore v1")]
  }

  func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan {
    var plan = StagePlan(on: backend)
    let model = try plan.build {
      try ModelFolder(path: settings.scorer).preferenceModel().model
    }
    let (volume, side) = (scale.volume, model.configuration.imageSize)
    let images = DataVolume.largestBatch(settings.batch, of: volume.images)
    plan.run(times: Double(volume.images) / Double(images)) {
      Self.vectors(
        ofImages: Tensor(repeating: 0, shape: [images, side, side, 3]), model.imageScorer)
    }
    let prompts = DataVolume.largestBatch(settings.batch, of: volume.prompts)
    let ids = [[Int]](
      repeating: [Int](repeating: 0, count: model.configuration.text.tokens), count: prompts)
    try plan.run(times: Double(volume.prompts) / Double(prompts)) {
      try Self.vectors(ofPrompts: ids, model)
    }
    plan.addImages(images, side: side)
    // New entries stand among the encodings.
    plan.addPages(ofDatabase: try scale.cacheByteCount + diskByteCount(scale))
    plan.add(seconds: Double(volume.images) * volume.secondsPerImage)
    return plan
  }

  /// Half-precision embeddings.
  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    (scale.volume.images + scale.volume.prompts) * 2
      * (try ModelFolder(path: settings.scorer).preferenceConfiguration().projectionWidth)
  }

  func itemCount(_ scale: PipelineScale) -> Int { scale.volume.blockCount(of: settings.batch) }

  var savings: [String] { settings.batch > 1 ? ["label.batch=1"] : [] }
}
