import Diffusion
import PipelineCore
import PreferenceModels

extension Label: Estimating {
  var sources: [NamedSource] {
    [
      NamedSource(
        setting: "label.scorer", path: settings.scorer,
        what: "the CLIP model that labels, such as PickScore v1")
    ]
  }

  private func configuration() throws -> PreferenceConfiguration {
    try ModelFolder(path: settings.scorer).preferenceConfiguration()
  }

  func memory(_ scale: PipelineScale) throws -> MemoryNeed {
    let configuration = try configuration()
    var need = MemoryNeed()
    need.add("weights of the CLIP model", bytes: 4 * configuration.weightCount)
    need.add([
      MemoryNeed.Pass(
        working: settings.batch
          * configuration.vision.forwardMemory(tokens: configuration.visionTokens))
    ])
    return need
  }

  /// Half-precision embeddings.
  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    (scale.volume.images + scale.volume.prompts) * 2 * (try configuration().projectionWidth)
  }

  /// As the preference model, which starts from a CLIP model like this one.
  func seconds(_ scale: PipelineScale, _ times: ModelTimes) -> Double {
    Double(scale.volume.images) * (scale.volume.secondsPerImage + times.judging.seconds)
      + Double(scale.volume.prompts) * times.judgedText.seconds
  }

  var savings: [String] { settings.batch > 1 ? ["label.batch=1"] : [] }
}
