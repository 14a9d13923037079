import Diffusion
import Files
import NN
import PipelineCore

extension WriteReport: Estimating {
  var sources: [NamedSource] {
    [
      .model(settings.model),
      NamedSource(
        setting: "report.prompts", path: settings.prompts,
        what: "a JSON list of prompts to draw, [{\"caption\": \"...\"}]"),
    ]
  }

  func memory(_ scale: PipelineScale) throws -> MemoryNeed {
    let model = try ModelParts(settings.model, PipelineScale())
    var need = MemoryNeed()
    need.add("weights of the U-Net", bytes: try model.unetSize().frozenByteCount)
    need.add("weights of the autoencoder", bytes: try model.autoencoderSize().frozenByteCount)
    for (_, size) in try model.textEncoders() {
      need.add("weights of the text encoder", bytes: size.frozenByteCount)
    }
    let judged = judgedRows(scale)
    let pictures = max(settings.picturesPerPrompt, judged)
    need.add([
      .init(working: try model.unetMemory().most * 2 * pictures),
      .init(
        kept: pictures * model.pictureCount, working: model.decodingMemory(pictures: pictures)),
    ])
    return need
  }

  /// Candidates that are drawn together for the oracle.
  private func judgedRows(_ scale: PipelineScale) -> Int {
    settings.oracle == .none ? 0 : CandidateJudging.batch * (scale.tuning?.candidates ?? 1)
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let model = try ModelParts(settings.model, PipelineScale())
    // PNG takes about two bytes a pixel.
    return try promptCount() * settings.picturesPerPrompt * 2 * model.pictureCount * 2 / 3
  }

  private func promptCount() throws -> Int {
    try JSONReader(try JSON(contentsOf: settings.prompts), path: settings.prompts).elements().count
  }

  func seconds(_ scale: PipelineScale, _ times: ModelTimes) throws -> Double {
    let prompts = Double(try promptCount())
    let guided = times.unet.seconds
    let decoding = times.decoding.seconds
    let picture = Double(settings.samplingSteps) * guided + decoding
    var seconds = prompts * Double(2 * settings.picturesPerPrompt) * picture
    if settings.oracle != .none, let tuning = scale.tuning {
      let isLatent = scale.preference?.isLatent ?? false
      let run = tuning.samplingRun(judgesLatents: isLatent)
      // The oracle sees each candidate decoded, of noisy ones what the U-Net makes of them; a model of
      // pixels has decoded it before.
      let judging =
        times.judging.seconds + decoding + (isLatent ? guided : decoding)
      seconds +=
        prompts * Double(settings.candidateDraws)
        * (Double(run.rows) * guided + Double(run.judged) * judging)
    }
    return seconds
  }

  var savings: [String] {
    settings.picturesPerPrompt > 1 ? ["report.pictures_per_prompt=1"] : []
  }
}
