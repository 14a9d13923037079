import Autograd
import Backends
import Diffusion
import NN
import PipelineCore
import Shards
import StageSupport

extension TuneDPO: Estimating {
  var sources: [NamedSource] {
    [.model(settings.model)] + NamedSource.vae(settings.vae)
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
    if settings.pictures > 0 {
      let (decoder, negative) = try plan.build {
        (try settings.base.autoencoder().model, try data.emptyConditioning())
      }
      let images = images(of: data, tuner)
      let unet = GuidedUNet(tuner.tuned, guidance: settings.guidance)
      try plan.run(times: Double((1 + checkpoints) * settings.pictures)) {
        try images.image(of: 0, unet, decoder, negative: negative)
      }
      try planSteps(&tuner, some, &plan)
      withExtendedLifetime(decoder) {}
    } else {
      try planSteps(&tuner, some, &plan)
    }
    return plan
  }

  private func planSteps(
    _ tuner: inout DirectPreferenceTuner, _ some: DPOSettings, _ plan: inout StagePlan
  ) throws {
    try plan.run(times: Double(settings.steps * settings.batch) / Double(some.batch)) {
      try tuner.train(step: 0)
    }
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let count = try withBackend(PlanningBackend()) {
      try TunedUNet(
        settings.base, rank: settings.rank, seed: settings.seed, usesGradientCheckpointing: false
      ).adapters.parameters.reduce(0) { $0 + $1.tensor.count }
    }
    let layout = try scale.layout(of: settings.base)
    let side = try AutoencoderConfiguration(settings.base.configuration("vae")).reduction
    let pixels = layout.latentHeight * layout.latentWidth * side * side
    // Values and two moments, the newest two and one being written; and the LoRA. PNG takes about two bytes
    // a pixel.
    return 4 * count * (3 * min(3, checkpoints) + 1)
      + (1 + checkpoints) * settings.pictures * pixels * 2
  }

  private var checkpoints: Int {
    (settings.steps + settings.checkpointEvery - 1) / max(1, settings.checkpointEvery)
  }

  var savings: [String] {
    (settings.microBatch > 1 ? ["dpo.micro_batch=1"] : [])
      + (settings.gradientCheckpointing ? [] : ["dpo.gradient_checkpointing=true"])
  }
}
