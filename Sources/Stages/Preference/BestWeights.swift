import Checkpoints
import NN
import PipelineCore

/// The weights that ordered validation comparisons best so far, in a file of their own.
///
/// They are written before the checkpoint of their step. A run that is killed in between does that step
/// again, and finds the same weights no better than themselves.
struct BestWeights {
  let accuracy: Double
  let step: Int
  private let path: String

  private static func path(in folder: String) -> String { "\(folder)/best.safetensors" }

  /// Keeps the parameters as they are now.
  init(_ parameters: [Parameter], accuracy: Double, step: Int, in folder: String) throws {
    self.accuracy = accuracy
    self.step = step
    path = Self.path(in: folder)
    try writeSafetensors(
      parameters.map { OutgoingTensor($0.name, storing: $0) },
      metadata: ["accuracy": "\(accuracy)", "step": "\(step)"], to: path)
  }

  /// Those that are kept in a folder; nil if there are none.
  init?(in folder: String) throws {
    path = Self.path(in: folder)
    guard Folders.exists(path) else { return nil }
    let file = try SafetensorsFile(path: path)
    guard let accuracy = file.metadata["accuracy"].flatMap({ Double($0) }),
      let step = file.metadata["step"].flatMap({ Int($0) })
    else { throw TrainingError.noStep(path: path) }
    self.accuracy = accuracy
    self.step = step
  }

  /// Puts the weights in the parameters' place.
  func adopt(_ parameters: [Parameter]) throws {
    let file = try SafetensorsFile(path: path)
    for parameter in parameters { parameter.assign(try file.floats(parameter.name)) }
  }
}
