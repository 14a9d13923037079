import Checkpoints
import NN

/// The weights that ordered validation comparisons best so far; part of every checkpoint.
struct BestWeights {
  private(set) var accuracy: Double
  private(set) var step: Int
  /// In the order of the parameters, as files have them.
  private var values: [[Float]]

  private static let fileName = "best.safetensors"

  init(_ parameters: [Parameter], accuracy: Double, step: Int) {
    self.accuracy = accuracy
    self.step = step
    values = parameters.map(\.storedValues)
  }

  init(_ parameters: [Parameter], readFrom folder: String) throws {
    let file = try SafetensorsFile(path: "\(folder)/\(Self.fileName)")
    guard let accuracy = file.metadata["accuracy"].flatMap({ Double($0) }),
      let step = file.metadata["step"].flatMap({ Int($0) })
    else { throw TrainingError.noStep(path: file.path) }
    self.accuracy = accuracy
    self.step = step
    values = try parameters.map { try file.floats($0.name) }
  }

  func write(_ parameters: [Parameter], to folder: String) throws {
    try writeSafetensors(
      zip(parameters, values).map { parameter, values in
        OutgoingTensor(parameter.name, shape: parameter.storedShape, floats: { values })
      }, metadata: ["accuracy": "\(accuracy)", "step": "\(step)"],
      to: "\(folder)/\(Self.fileName)")
  }

  /// Puts the weights in the parameters' place.
  func adopt(_ parameters: [Parameter]) {
    for (parameter, values) in zip(parameters, values) { parameter.assign(values) }
  }
}
