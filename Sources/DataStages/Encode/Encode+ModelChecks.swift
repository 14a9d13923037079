import Backends
import Diffusion
import PipelineCore
import PreferenceModels
import StageSupport

extension Encode: ModelFitting {
  func checkFit() throws {
    guard let size = settings.size, Folders.exists(settings.model),
      let model = try? AutoencoderConfiguration(settings.base.configuration("vae"))
    else { return }
    let factor = model.reduction
    guard size.isMultiple(of: factor) else {
      throw PipelineError.badSetting(
        path: "encode.size",
        reason: "must be a multiple of \(factor), the downsampling factor of the VAE of "
          + "\(settings.model), but is \(size)")
    }
  }
}

extension Encode: ModelReading {
  func checkModels(_ checked: CheckedModels) throws {
    let model = try checked.configuration(settings.base)
    try model.requireFeasible(imageSide: try EncoderIdentity.size(settings, model))
  }
}
