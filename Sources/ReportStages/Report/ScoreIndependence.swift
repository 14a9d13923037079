import DataStages
import Diffusion
import Files
import PipelineCore
import PreferenceModels
import Scorers
import StageSupport
import TrainingStages

/// Finds a report's scores that are not independent evidence, because the training data came from
/// them.
struct ScoreIndependence {
  private let context: StageContext
  private let scorers: [(kind: ScorerKind, path: String)]

  init(_ scorers: [(kind: ScorerKind, path: String)], _ context: StageContext) {
    self.scorers = scorers
    self.context = context
  }

  /// Returns one sentence per such score.
  func warnings() throws -> [String] {
    var warnings: [String] = []
    let labels = try labellingWeights()
    let start = try startingWeights()
    let preference = try preferenceWeights()
    for (kind, path) in scorers {
      let weights = try weights(kind, path)
      if !weights.isDisjoint(with: labels) {
        warnings.append(
          "report: the training comparisons were labelled by \(kind.rawValue), so its scores are no "
            + "independent evidence; look at other scores and at the images")
      } else if !weights.isDisjoint(with: start) {
        warnings.append(
          "report: the preference model started from \(kind.rawValue), so the scores of \(kind.rawValue) are "
            + "no independent evidence; look at other scores and at the images")
      } else if !weights.isDisjoint(with: preference) {
        warnings.append(
          "report: \(kind.rawValue) was the preference model that the tuning followed, so its scores are "
            + "no independent evidence; look at other scores and at the images")
      }
    }
    return warnings
  }

  private static func areWeights(_ path: String) -> Bool {
    [".safetensors", ".bin", ".pt"].contains { path.hasSuffix($0) }
  }

  /// Returns the digests of the files with a scorer's weights.
  private func weights(_ kind: ScorerKind, _ path: String) throws -> Set<String> {
    Set(
      try Scorer.files(path: path, kind: kind).filter(Self.areWeights).map {
        try context.digests.digest(ofFile: $0)
      })
  }

  private func weights(ofPreference path: String) throws -> Set<String> {
    guard Folders.exists(path) else { return [] }
    return Set(
      try ModelFolder(path: path).preferenceInputs(context.digests, as: "").filter {
        Self.areWeights($0.path)
      }.map(\.identity))
  }

  /// Returns those of the model that labelled the comparisons, if one did.
  private func labellingWeights() throws -> Set<String> {
    guard
      try context.planned(ShardSettings.self, of: Shard.name)?.labels == .model,
      let label = try context.planned(LabelSettings.self, of: Label.name)
    else { return [] }
    return try weights(ofPreference: label.scorer)
  }

  /// Returns those of the model that the preference model started from.
  private func startingWeights() throws -> Set<String> {
    guard
      let preference = try context.planned(PreferenceSettings.self, of: TrainPreference.name),
      !preference.startsFresh, !preference.start.isEmpty
    else { return [] }
    return try weights(ofPreference: preference.start)
  }

  /// Returns those of a given preference model.
  private func preferenceWeights() throws -> Set<String> {
    guard
      let given = try context.planned(SPOSettings.self, of: TuneSPO.name)?.preference
    else { return [] }
    return try weights(ofPreference: given)
  }
}
