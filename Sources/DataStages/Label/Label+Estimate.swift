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
    let (batch, side) = (settings.batch, model.configuration.imageSize)
    plan.run(times: Double(scale.volume.images) / Double(batch)) {
      Self.vectors(
        ofImages: Tensor(repeating: 0, shape: [batch, side, side, 3]), model.pictures)
    }
    let ids = [[Int]](
      repeating: [Int](repeating: 0, count: model.configuration.text.tokens), count: batch)
    try plan.run(times: Double(scale.volume.prompts) / Double(batch)) {
      try Self.vectors(ofPrompts: ids, model)
    }
    plan.add(seconds: Double(scale.volume.images) * scale.volume.secondsPerImage)
    return plan
  }

  /// Half-precision embeddings.
  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    (scale.volume.images + scale.volume.prompts) * 2
      * (try ModelFolder(path: settings.scorer).preferenceConfiguration().projectionWidth)
  }

  func itemCount(_ scale: PipelineScale) -> Int {
    (scale.volume.images + settings.batch - 1) / settings.batch
      + scale.volume.prompts / settings.batch + 1
  }

  var savings: [String] { settings.batch > 1 ? ["label.batch=1"] : [] }
}
