import Evaluation
import Files
import Foundation
import PipelineCore
import Reporting
import StageSupport
import TrainingStages

extension WriteReport {
  /// The sampling settings that the images of other runs must share to be comparable.
  var sampling: JSON {
    let sampling: JSON = [
      "models": .array(models.map { .string($0.name) }),
      "pictures_per_prompt": .integer(settings.picturesPerPrompt),
      "seed": JSON(settings.seed), "sampling_steps": .integer(settings.samplingSteps),
      "eta": .number(Double(settings.eta)), "guidance": .number(Double(settings.scales[0])),
    ]
    guard let lora = settings.negativeLora, var members = sampling.object else { return sampling }
    members["negative_lora"] = .string(lora)
    return .object(members)
  }

  func page(
    _ prompts: [String], warnings: [String], summary: JSON, evaluation: JSONReader?,
    oracle: ReportPage.OracleFindings?, scored: [PublishedScores.Comparison], drifts: [LoRADrift]
  ) throws -> ReportPage {
    let workspace = context.workspace
    return ReportPage(
      run: ReportedRun(workspace: workspace.path, model: settings.model), prompts: prompts,
      areHeldOut: try trainedPrompts().isEmpty, settings: settings, models: models,
      warnings: warnings,
      variants: try RunSummary.all(
        summary: summary, folder: folder, workspace: workspace.path, beside: settings.beside),
      evaluation: evaluation, oracle: oracle, scored: scored, drifts: drifts,
      metrics: (
        preference: try evaluation == nil
          ? [] : TrainingLog.lines(in: workspace.path(TrainPreference.name)),
        tuning: try byStage { try TrainingLog.lines(in: workspace.path($0.rawValue)) }
      ),
      trainingImages: try byStage {
        try TrainingImages(folder: workspace.path("\($0.rawValue)/pictures"))
      },
      records: try records(), files: files,
      image: {
        try RegularFile(path: self.files.image($0, $1, $2, scale: $3)).readAll()
      })
  }

  private func byStage<Value>(
    _ value: (TuningStage) throws -> Value
  ) rethrows -> [TuningStage: Value] {
    Dictionary(uniqueKeysWithValues: try stages.map { ($0, try value($0)) })
  }
}
