package import Files
import Foundation
import PipelineCore
import StageSupport

/// `evaluation.json` of a trained preference model.
package enum PreferenceEvaluation {
  /// Reads the evaluation; nil if it was lost or never made.
  package static func read(from folder: String) throws -> JSONReader? {
    let path = "\(folder)/evaluation.json"
    guard Folders.exists(path) else { return nil }
    let reader = try JSONReader(contentsOf: path)
    guard try reader.optional("split") == nil else { return reader }
    // The original format, measured on the held-out comparisons that had selected the checkpoint.
    var evaluation = try reader.object()
    evaluation["split"] = "the held-out split"
    evaluation["chose_checkpoint"] = true
    return JSONReader(.object(evaluation), path: path)
  }

  /// - Parameter step: the step of the weights that were kept
  static func write(
    _ accuracies: [(view: PreferenceView, share: Double)], comparisons: Int, of split: String,
    choseCheckpoint: Bool, step: Int, to folder: String
  ) throws {
    var shares = JSON.Object()
    for (view, share) in accuracies {
      let name = if case .timestep(let timestep) = view { "\(timestep)" } else { "clean" }
      shares[name] = .number(share)
    }
    try writeJSON(
      [
        "accuracy": .object(shares), "pairs": .integer(comparisons), "split": .string(split),
        "chose_checkpoint": .bool(choseCheckpoint), "step": .integer(step),
      ], to: "\(folder)/evaluation.json")
  }

  /// Returns a one-line summary; nil if there is none.
  static func line(from folder: String) throws -> String? {
    guard let evaluation = try read(from: folder) else { return nil }
    let pairs = try evaluation.int("pairs")
    guard pairs > 0 else {
      return
        "no comparison in \(try evaluation.string("split")) has a preference, so agreement with the "
        + "labels is unknown"
    }
    let parts = try evaluation["accuracy"].members().map { key, value in
      "\(key == "clean" ? key : "t=\(key)") \(String(format: "%.3f", try value.double()))"
    }
    let note =
      try evaluation.bool("chose_checkpoint")
      ? " (they also chose the checkpoint, so this is optimistic)" : ""
    return
      "agreement with the labels of \(pairs) comparisons in "
      + "\(try evaluation.string("split")): \(parts.joined(separator: ", "))\(note)"
  }
}
