import Files
import PipelineCore

/// What should make one doubt the result of a training stage: `warnings.json` beside its metrics.
///
/// Warnings are drawn from what the stage has recorded, so that those of a run that was interrupted are those
/// of one that was not.
struct TrainingWarnings {
  private static let fileName = "warnings.json"

  static func write(_ warnings: [String], to folder: String) throws {
    try writeJSON(
      ["warnings": .array(warnings.map { .string($0) })], to: "\(folder)/\(fileName)")
  }

  /// None where the stage has not ended.
  static func read(from folder: String) throws -> [String] {
    let path = "\(folder)/\(fileName)"
    guard Folders.exists(path) else { return [] }
    return try JSONReader(contentsOf: path)["warnings"].elements().map { try $0.string() }
  }
}

/// Training that ended without having changed the model.
struct NothingLearned: ClassifiedError, CustomStringConvertible {
  /// What was found and what to change.
  let reason: String
  let kind = FailureKind.nothingLearned

  var description: String { "nothing was learned: \(reason)" }
}
