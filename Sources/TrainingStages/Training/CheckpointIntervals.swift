package import Files
import Foundation
package import PipelineCore
import Ranks

/// The checkpoints and the log of a training stage, whose items are the intervals between
/// checkpoints.
package struct CheckpointIntervals {
  let checkpoints: CheckpointFolders
  let stepCount: Int
  let interval: Int
  private let context: StageContext
  private let folder: String

  package init(_ context: StageContext, stage: String, stepCount: Int, interval: Int) throws {
    checkpoints = CheckpointFolders(in: context.output("\(stage)/checkpoints"))
    self.context = context
    folder = context.output(stage)
    self.stepCount = stepCount
    self.interval = max(1, interval)
  }

  /// The number of checkpoints that an uninterrupted run makes.
  var count: Int { (stepCount + interval - 1) / interval }

  /// Returns the most bytes that checkpoints take on disk: the newest two, and one being written.
  ///
  /// - Parameters:
  ///   - valueCount: the number of trained values
  ///   - others: the arrays of that size in a checkpoint besides the values and their two moments
  static func byteCount(valueCount: Int, count: Int, others: Int = 0) -> Int {
    4 * valueCount * (3 + others) * min(3, count)
  }

  /// Returns the names of a stage's files, see `Stage.fileNames`.
  package static func fileNames(_ stage: String) -> [String] {
    let checkpoint = ["*.safetensors", logName, CheckpointFolders.manifestName].map {
      "checkpoints/step-*/\($0)"
    }
    return (checkpoint + [logName, "warnings.json", "events.out.tfevents.*"]).map {
      "\(stage)/\($0)"
    }
  }

  /// Returns the step of the newest complete checkpoint, 0 if there is none.
  package func finishedSteps() throws -> Int { try checkpoints.steps().last ?? 0 }

  /// Describes what is wrong with the checkpoints that a finished run keeps.
  func findings() throws -> [String] { try checkpoints.findings() }

  /// Returns the remaining intervals, which end at multiples of the checkpoint interval and at the
  /// last step: ranks stopped in between continue to the next of these.
  package func pending() throws -> [Range<Int>] {
    let start = try finishedSteps()
    let bounds = stride(from: start / interval * interval + interval, to: stepCount, by: interval)
    let all = [start] + bounds + [stepCount]
    return start < stepCount ? zip(all, all.dropFirst()).map { $0..<$1 } : []
  }

  /// Returns the plan of a stage that does nothing but train.
  package func plan<Work: StageWork>(
    begin: @escaping () throws -> Work
  ) throws -> WorkPlan<Work> where Work.Item == Range<Int> {
    WorkPlan(
      try pending(), finishedUnitCount: try finishedSteps(), unitCount: { $0.count }, begin: begin)
  }

  /// Whether an uninterrupted run writes a checkpoint after this step.
  func isRegular(_ step: Int) -> Bool { step % interval == 0 || step == stepCount }

  /// Loads the newest checkpoint, if there is one, and opens the log after it.
  ///
  /// Ranks other than 0 receive its contents, and log nothing.
  package func resume(_ state: inout TrainingState) throws -> TrainingLog {
    let log = context.ranks.isFirst ? try open(&state) : TrainingLog()
    try state.share()
    return log
  }

  private func open(_ state: inout TrainingState) throws -> TrainingLog {
    let newest = try checkpoints.newest()
    try checkpoints.removeSuperseded()
    if let newest {
      try state.read(from: newest.path)
      let (log, copy) = ("\(folder)/\(Self.logName)", "\(newest.path)/\(Self.logName)")
      if !Folders.exists(log), Folders.exists(copy) {
        try AtomicFile.replace(log, with: try RegularFile(path: copy).readAll())
      }
    }
    return try TrainingLog(folder: folder, resumingAfter: newest?.step ?? 0)
  }

  private static let logName = "metrics.jsonl"

  /// Syncs the log, then writes the checkpoint, which records the log's length and keeps a copy.
  package func commit(_ state: TrainingState, step: Int, log: TrainingLog) throws {
    try context.compareRanks(digest: state.weightsDigest)
    try log.sync()
    try checkpoints.write(step: step) { checkpoint in
      try state.write(to: checkpoint)
      try AtomicFile.replace(
        "\(checkpoint)/\(Self.logName)",
        with: try RegularFile(path: "\(folder)/\(Self.logName)").readAll())
    }
  }
}

extension JSON.Object {
  /// Returns named measurements, in order.
  package static func figures(_ values: [(String, Float)]) -> JSON.Object {
    values.reduce(into: JSON.Object()) { $0[$1.0] = .number(Double($1.1)) }
  }
}

/// Formats a measurement with four significant digits.
package func shortened(_ value: Float) -> String { String(format: "%.4g", Double(value)) }
