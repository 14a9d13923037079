import Files
import Foundation
import PipelineCore
import Reporting
import TrainingStages

/// The progress of a stage, from its record and the metrics written since.
struct WatchedStage {
  let stage: WorkspaceSnapshot.Stage
  /// The lines of its metrics; empty if it trains nothing.
  let lines: [JSON.Object]
  let unitsDone: Int
  /// Units per second over all runs; nil until known.
  let rate: Double?
  /// The reason why something is currently unreadable, if it is.
  let problem: String?

  init(_ stage: WorkspaceSnapshot.Stage) {
    self.stage = stage
    let path = "\(stage.folder)/metrics.jsonl"
    var problem: String?
    do {
      lines = try TrainingLog.lines(in: stage.folder)
    } catch {
      // A log that is being moved or truncated will be complete next time.
      lines = []
      problem = "\(error)"
    }
    self.problem = problem
    let logged = Self.units(stage, lines).map { max($0, stage.unitsDone) }
    unitsDone = min(logged ?? stage.unitsDone, max(stage.unitsTotal, stage.unitsDone))
    // Records are written at checkpoints, metrics at every step.
    let since =
      logged == nil
      ? 0 : WorkspaceSnapshot.date(of: path).map { $0.timeIntervalSince(stage.date) } ?? 0
    let seconds = stage.seconds + max(0, since)
    rate = unitsDone > 0 && seconds > 0 ? Double(unitsDone) / seconds : nil
  }

  /// Returns the units that the metrics cover; nil if there are none.
  private static func units(
    _ stage: WorkspaceSnapshot.Stage, _ lines: [JSON.Object]
  ) -> Int? {
    guard !stage.isDone, let step = lines.last?["step"]?.int else { return nil }
    let settings = stage.settings.object
    // It counts comparisons, and generates their images before the first step.
    guard stage.name == TrainPreference.name else { return step }
    guard let steps = settings?["steps"]?.int, let batch = settings?["batch"]?.int,
      (0...steps).contains(step)
    else { return nil }
    let left = (steps - step).multipliedReportingOverflow(by: batch)
    return left.overflow ? nil : stage.unitsTotal - left.partialValue
  }

  /// The fraction done, in 0...1; nil if the total is unknown.
  var share: Double? {
    stage.unitsTotal > 0 ? Double(unitsDone) / Double(stage.unitsTotal) : nil
  }

  var secondsLeft: Double? {
    guard !stage.isDone, let rate, stage.unitsTotal > 0 else { return nil }
    return Double(stage.unitsTotal - unitsDone) / rate
  }

  var charts: [Chart] { MeasuredCurves(stage: stage.name, lines: lines).charts }

  /// The images that the stage has generated so far.
  var images: ImageGrid? {
    if stage.name == WriteReport.name { return RecentImages(folder: stage.folder).grid }
    let images = try? TrainingImages(folder: "\(stage.folder)/pictures")
    return images?.grid(
      count: 6, address: nil, caption: "The first held-out prompts, always from the same noise")
  }
}
