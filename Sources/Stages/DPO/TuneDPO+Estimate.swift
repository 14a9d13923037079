import Diffusion
import NN
import PipelineCore

extension TuneDPO: Estimating {
  var sources: [NamedSource] { [.model(settings.model)] }

  func memory(_ scale: PipelineScale) throws -> MemoryNeed {
    let model = try ModelParts(settings.model, scale)
    var need = MemoryNeed()
    need.add("weights of the U-Net", bytes: try model.unetSize().frozenByteCount)
    if settings.pictures > 0 {
      need.add("weights of the autoencoder", bytes: try model.autoencoderSize().frozenByteCount)
    }
    need.addTraining(of: model.unet.adapterWeightCount(rank: settings.rank))
    let unet = try model.unetMemory(rank: settings.rank)
    let trained = unet.training(isCheckpointed: settings.gradientCheckpointing)
    // Both images of each comparison.
    let rows = 2 * max(1, min(settings.microBatch, settings.batch))
    var passes = [
      MemoryNeed.Pass(working: unet.most * rows),
      .init(kept: rows * trained.kept, working: rows * trained.working),
    ]
    if settings.pictures > 0 {
      passes += [
        .init(working: unet.most * 2),
        .init(kept: model.pictureCount, working: model.decodingMemory(pictures: 1)),
      ]
    }
    need.add(passes)
    return need
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let model = try ModelParts(settings.model, scale)
    // Values and two moments, the newest two and one being written; and the LoRA.
    let lora = 4 * model.unet.adapterWeightCount(rank: settings.rank)
    // PNG takes about two bytes a pixel.
    return lora * (3 * min(3, checkpoints) + 1)
      + (1 + checkpoints) * settings.pictures * model.pictureCount * 2 / 3
  }

  private var checkpoints: Int {
    (settings.steps + settings.checkpointEvery - 1) / max(1, settings.checkpointEvery)
  }

  func seconds(_ scale: PipelineScale, _ times: ModelTimes) -> Double {
    // Two images take what one with guidance does: the reference, and what is trained.
    let again = settings.gradientCheckpointing ? 1.0 : 0
    let comparison =
      (1 + again) * times.unet.seconds + times.unet.trainingSeconds(trainsWeights: false)
    let picture = Double(settings.samplingSteps) * times.unet.seconds + times.decoding.seconds
    return Double(settings.steps * settings.batch) * comparison
      + Double((1 + checkpoints) * settings.pictures) * picture
  }

  var savings: [String] {
    (settings.microBatch > 1 ? ["dpo.micro_batch=1"] : [])
      + (settings.gradientCheckpointing ? [] : ["dpo.gradient_checkpointing=true"])
  }
}
