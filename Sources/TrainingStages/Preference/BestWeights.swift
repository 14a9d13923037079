import Checkpoints
import Files
import NN
import PipelineCore

/// The weights with the best validation accuracy so far, in a file of their own.
///
/// They are written before their step's checkpoint. If a run is killed in between, the step is
/// repeated, and the same weights are no improvement over themselves.
struct BestWeights {
  let accuracy: Double
  let step: Int
  private let path: String

  static func path(in folder: String) -> String { "\(folder)/best.safetensors" }

  /// Captures the current parameters.
  init(_ parameters: [Parameter], accuracy: Double, step: Int, in folder: String) throws {
    self.accuracy = accuracy
    self.step = step
    path = Self.path(in: folder)
    try writeSafetensors(
      parameters.map { OutgoingTensor($0.name, storing: $0) },
      metadata: [
        "accuracy": "\(accuracy)", "step": "\(step)",
        "sha256": try Self.digest(
          accuracy: accuracy, step: step,
          Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0) })
        ) { $0.storedValues },
      ], to: path)
  }

  /// SHA-256 over the measurement, then names and numbers, sorted by name.
  private static func digest<Weight>(
    accuracy: Double, step: Int, _ weights: [String: Weight], _ values: (Weight) throws -> [Float]
  ) throws -> String {
    var hash = SHA256()
    hash.update(Array("\(accuracy) \(step)".utf8))
    for (name, weight) in weights.sorted(by: { $0.key < $1.key }) {
      hash.update(Array(name.utf8))
      try values(weight).withUnsafeBytes { hash.update($0) }
    }
    return hash.finalize().hexadecimal
  }

  /// Reads the weights saved in a folder; nil if there are none.
  ///
  /// - Throws: `PipelineError.damaged` if they differ from those saved
  init?(in folder: String) throws {
    path = Self.path(in: folder)
    guard Folders.exists(path) else { return nil }
    let file = try SafetensorsFile(path: path)
    guard let accuracy = file.metadata["accuracy"].flatMap({ Double($0) }),
      let step = file.metadata["step"].flatMap({ Int($0) })
    else { throw TrainingError.noStep(path: path) }
    let digest = try Self.digest(
      accuracy: accuracy, step: step,
      Dictionary(uniqueKeysWithValues: file.entries.map { ($0.name, $0.name) })
    ) { try file.floats($0) }
    guard digest == file.metadata["sha256"] else {
      throw PipelineError.damaged(
        path: path,
        reason: "its digest does not match; run the stage from its beginning: "
          + "--force \(TrainPreference.name)")
    }
    self.accuracy = accuracy
    self.step = step
  }

  /// The error of a finished training without them.
  static func loss(in folder: String) -> PipelineError {
    .damaged(
      path: path(in: folder),
      reason: "it is missing; run again with --force \(TrainPreference.name), which trains again")
  }

  /// Copies the weights to the parameters.
  func adopt(_ parameters: [Parameter]) throws {
    let file = try SafetensorsFile(path: path)
    for parameter in parameters { parameter.assign(try file.floats(parameter.name)) }
  }
}
