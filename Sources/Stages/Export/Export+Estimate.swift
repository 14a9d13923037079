import Diffusion
import NN
import PipelineCore

extension Export: Estimating {
  var sources: [NamedSource] { [.model(settings.model)] }

  private func weights(_ scale: PipelineScale) throws -> WeightSize {
    let model = try ModelParts(settings.model, scale)
    return try model.unetSize() + model.autoencoderSize()
      + model.textEncoders().reduce(WeightSize()) { $0 + $1.size }
  }

  func memory(_ scale: PipelineScale) throws -> MemoryNeed {
    var need = MemoryNeed()
    // As it is stored, with the LoRA added, as it is written, and as it is read back.
    need.add("the largest weight", bytes: 4 * (try weights(scale).largestByteCount))
    need.addKernels()
    return need
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    settings.forms.contains(.merged) ? try reads.count * mergedByteCount(scale) : 0
  }

  /// Of one merged model.
  func mergedByteCount(_ scale: PipelineScale) throws -> Int {
    try weights(scale).count * (settings.dtype == .f32 ? 4 : 2)
  }

  var diskSavings: [String] {
    guard settings.forms.contains(.merged) else { return [] }
    return (settings.dtype == .f32 ? ["export.dtype=f16"] : [])
      + ["export.forms=[\"lora\",\"webui\"]"]
  }

  /// Read, written and read back, at what an ordinary disk bears.
  func seconds(_ scale: PipelineScale, _ times: ModelTimes) throws -> Double {
    Double(try diskByteCount(scale)) * 3 / 500e6
  }
}
