import Autograd
import Backends
import Diffusion
import PipelineCore
import Shards
import StageSupport

extension TuneDPO: Estimating {
  var sources: [NamedSource] {
    settings.modelSources
      + NamedSource.start(settings.start, stage: Self.name)
  }

  func plan(_ scale: PipelineScale, on backend: any Backend) throws -> StagePlan {
    var plan = StagePlan(on: backend)
    let data = PlannedComparisons(layout: try scale.layout(of: settings.base), split: "train")
    var some = settings
    some.batch = max(1, min(settings.batch, 2 * settings.microBatch))
    var tuner = try plan.build {
      try DirectPreferenceTuner(some, data, decided: Array(0..<some.batch))
    }
    let decoder = try plan.build { try self.decoder(data) }
    if let decoder {
      let images = images(of: data, tuner)
      let unet = GuidedUNet(tuner.tuned, guidance: settings.guidance)
      try plan.run(times: Double(imageCount)) {
        try images.image(of: 0, unet, decoder.autoencoder, negative: decoder.negative)
      }
    }
    try plan.run(times: Double(settings.steps * settings.batch) / Double(some.batch)) {
      try tuner.train(step: 0)
    }
    withExtendedLifetime(decoder) {}
    return plan
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let model = settings.base
    return try TunedUNet.byteCount(model, rank: settings.rank, checkpoints: intervals.count)
      + imageCount * scale.layout(of: model).pngByteCount(of: model)
  }

  /// Before the first step and at each checkpoint.
  private var imageCount: Int { (1 + intervals.count) * settings.pictures }

  var savings: [String] {
    (settings.microBatch > 1 ? ["dpo.micro_batch=1"] : [])
      + (settings.gradientCheckpointing ? [] : ["dpo.gradient_checkpointing=true"])
  }
}
