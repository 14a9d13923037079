import Diffusion
import Evaluation
import Files
import NN
import PipelineCore
import Scorers

extension WriteReport: Estimating {
  var sources: [NamedSource] {
    [.model(settings.model)]
      + (settings.split == nil
        ? [
          NamedSource(
            setting: "report.prompts", path: settings.prompts,
            what: "a list of prompts to draw, such as [{\"caption\": \"...\"}]")
        ] : [])
      + settings.namedScorers.map { kind, path in
        NamedSource(
          setting: "report.scorers", path: path,
          what: "the weights of the score \(kind.rawValue)",
          override: "'report.scorers={\"\(kind.rawValue)\": \"PATH\"}'")
      }
  }

  func memory(_ scale: PipelineScale) throws -> MemoryNeed {
    let model = try ModelParts(settings.model, PipelineScale())
    var need = MemoryNeed()
    need.add("weights of the U-Net", bytes: try model.unetSize().frozenByteCount)
    need.add("weights of the autoencoder", bytes: try model.autoencoderSize().frozenByteCount)
    for (_, size) in try model.textEncoders() {
      need.add("weights of the text encoder", bytes: size.frozenByteCount)
    }
    // One scorer at a time; weights of half precision are computed with as they are.
    need.add(
      "weights of the largest scorer",
      bytes: try settings.namedScorers.map { try Self.weightByteCount($0.kind, $0.path) }.max() ?? 0
    )
    let judged = judgedRows(scale)
    let pictures = max(settings.picturesPerPrompt, judged)
    need.add([
      .init(working: try model.unetMemory().most * 2 * pictures),
      .init(
        kept: pictures * model.pictureCount, working: model.decodingMemory(pictures: pictures)),
    ])
    return need
  }

  /// Of the files that hold a scorer's weights.
  private static func weightByteCount(_ kind: ScorerKind, _ path: String) throws -> Int {
    try Scorer.files(path: path, kind: kind).map(Folders.byteCount).max() ?? 0
  }

  /// Candidates that are drawn together for the oracle.
  private func judgedRows(_ scale: PipelineScale) -> Int {
    settings.oracle == .none ? 0 : CandidateJudging.batch * (scale.tuning?.candidates ?? 0)
  }

  func diskByteCount(_ scale: PipelineScale) throws -> Int {
    let model = try ModelParts(settings.model, PipelineScale())
    // PNG takes about two bytes a pixel.
    return try drawnCount(scale) * model.pictureCount * 2 / 3
  }

  private func promptCount(_ scale: PipelineScale) throws -> Int {
    // A prompt of a unique split has one comparison.
    try settings.split.map { scale.volume.rows(ofSplit: $0) }
      ?? PromptList(path: settings.prompts).entries.count
  }

  /// All pictures.
  private func drawnCount(_ scale: PipelineScale) throws -> Int {
    try promptCount(scale) * settings.scales.count * models.count * settings.picturesPerPrompt
  }

  func seconds(_ scale: PipelineScale, _ times: ModelTimes) throws -> Double {
    let prompts = Double(try promptCount(scale))
    let guided = times.unet.seconds
    let decoding = times.decoding.seconds
    let picture = Double(settings.samplingSteps) * guided + decoding
    let drawn = Double(try drawnCount(scale))
    var seconds = drawn * picture
    for (kind, path) in settings.namedScorers {
      seconds += drawn * (try Scorer.secondsPerImage(path: path, kind: kind))
    }
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
