package import Backends
import Diffusion
import NN
import PipelineCore
package import StageSupport

extension Export: Estimating {
  /// The numbers in each array of the model.
  private func weights() throws -> [Int] {
    let model = settings.base
    return try withBackend(PlanningBackend()) {
      let parts = try ["text_encoder", "text_encoder_2"].filter(model.hasPart).map {
        try model.textEncoder($0).weights
      }
      return try (parts + [model.unet().weights, model.autoencoder().weights])
        .flatMap(\.parameters).map { $0.storedShape.reduce(1, *) }
    }
  }

  package func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan {
    var plan = StagePlan(on: backend)
    // As it is stored, with the LoRA added, as it is written, and as it is read back.
    plan.add("the largest weight", bytes: 4 * 4 * (try weights().max() ?? 0))
    plan.add("file buffers", bytes: 2_000_000)
    // Read, written and read back, at what an ordinary disk bears.
    plan.add(seconds: Double(try diskByteCount(scale)) * 3 / 500e6)
    return plan
  }

  package func diskByteCount(_ scale: PipelineScale) throws -> Int {
    guard settings.forms.contains(.merged) else { return 0 }
    return try reads.count * mergedByteCount()
  }

  /// Of one merged model.
  func mergedByteCount() throws -> Int {
    try weights().reduce(0, +) * settings.dtype.byteCount
  }

  package var diskSavings: [String] {
    guard settings.forms.contains(.merged) else { return [] }
    return (settings.dtype == .f32 ? ["export.dtype=f16"] : [])
      + ["export.forms=[\"lora\",\"webui\"]"]
  }
}
