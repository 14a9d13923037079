import Files
import PipelineCore

/// `evaluation.json` of a trained preference model.
enum PreferenceEvaluation {
  /// Nil where it was lost, or never made.
  static func read(from folder: String) throws -> JSONReader? {
    let path = "\(folder)/evaluation.json"
    guard Folders.exists(path) else { return nil }
    let reader = try JSONReader(contentsOf: path)
    guard try reader.optional("split") == nil else { return reader }
    // As it was written at first: measured on the held-out comparisons, which had chosen the checkpoint.
    var evaluation = try reader.object()
    evaluation["split"] = "the held-out split"
    evaluation["chose_checkpoint"] = true
    return JSONReader(.object(evaluation), path: path)
  }
}
