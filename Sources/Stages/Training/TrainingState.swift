import Autograd
import Checkpoints
import Files
import Foundation
import NN
import TensorCore

/// What a training run needs to go on where it was: parameters, optimiser and averages.
///
/// A checkpoint holds `weights.safetensors` (in the layout of model files), `optimizer.safetensors`
/// and, where averages are kept, `average.safetensors`.
struct TrainingState {
  let parameters: [Parameter]
  var optimizer: AdamW
  /// Exponential averages of the parameters; kept only if asked for.
  private(set) var average: [Tensor]?
  let schedule: LearningRateSchedule
  /// Gradients are scaled down to this joint norm.
  let gradientLimit: Float

  /// - Parameter folder: on whose disk the optimiser's running means are kept; in memory if nil
  init(
    _ parameters: [Parameter], optimizer: AdamW.Settings, schedule: LearningRateSchedule,
    gradientLimit: Float = 1, keepsAverage: Bool = false, momentsOnDiskOf folder: String? = nil
  ) throws {
    self.parameters = parameters
    self.optimizer = try AdamW(parameters, settings: optimizer, momentsOnDiskOf: folder)
    self.schedule = schedule
    self.gradientLimit = gradientLimit
    average =
      keepsAverage ? parameters.map { Tensor($0.tensor.values, shape: $0.tensor.shape) } : nil
  }

  /// Updates made so far.
  var step: Int { optimizer.stepCount }

  /// One update against the gradients of `loss`.
  ///
  /// - Returns: the norm that the gradients had
  /// - Throws: `TrainingError.notFinite` before anything is changed
  mutating func update(minimizing loss: Tensor) throws -> Float {
    let found = gradients(of: loss, for: parameters.map(\.tensor))
    return try update(found, loss: loss.scalar)
  }

  /// One update by gradients that were collected elsewhere.
  mutating func update(_ gradients: [Tensor?], loss: Float) throws -> Float {
    let (norm, scale) = clipping(gradients, toNorm: gradientLimit)
    guard loss.isFinite, norm.isFinite else {
      throw TrainingError.notFinite(step: step, loss: loss, gradientNorm: norm)
    }
    try optimizer.update(gradients, learningRate: schedule.rate(at: step), scale: scale)
    return norm
  }

  /// Moves the averages towards the parameters: `average = decay average + (1 - decay) value`.
  mutating func updateAverage(decay: Float) {
    guard let average else { return }
    for (mean, parameter) in zip(average, parameters) {
      scaleAndShift(mean.pointer, into: mean.pointer, count: mean.count, scale: decay)
      addScaled(
        parameter.tensor.pointer, to: mean.pointer, count: mean.count, scale: 1 - decay)
    }
  }

  /// Puts the averages in the parameters' place, for good.
  func adoptAverage() {
    guard let average else { return }
    for (mean, parameter) in zip(average, parameters) {
      parameter.tensor.pointer.update(from: mean.pointer, count: mean.count)
      parameter.valuesChanged()
    }
  }

  func write(to folder: String) throws {
    try writeSafetensors(
      parameters.map { OutgoingTensor($0.name, storing: $0) },
      to: "\(folder)/weights.safetensors")
    try writeSafetensors(
      optimizer.state.map { OutgoingTensor($0.name, shape: [$0.count], floats: $0.values) },
      metadata: ["step": "\(step)"], to: "\(folder)/optimizer.safetensors")
    if let average {
      try writeSafetensors(
        zip(parameters, average).map { parameter, mean in
          OutgoingTensor(parameter.name, shape: [mean.count], floats: { mean.values })
        }, to: "\(folder)/average.safetensors")
    }
  }

  mutating func read(from folder: String) throws {
    let weights = try SafetensorsFile(path: "\(folder)/weights.safetensors")
    for parameter in parameters { parameter.assign(try weights.floats(parameter.name)) }
    let file = try SafetensorsFile(path: "\(folder)/optimizer.safetensors")
    guard let step = file.metadata["step"].flatMap({ Int($0) }) else {
      throw TrainingError.noStep(path: file.path)
    }
    try optimizer.restore(stepCount: step) { try file.floats($0) }
    if let average {
      let file = try SafetensorsFile(path: "\(folder)/average.safetensors")
      for (mean, parameter) in zip(average, parameters) {
        try file.readFloats(parameter.name, into: mean.mutableElements)
      }
    }
  }
}

extension OutgoingTensor {
  /// A parameter under a name, in the layout of model files.
  init(_ name: String, type: ElementType = .f32, storing parameter: Parameter) {
    self.init(
      name, type: type, shape: parameter.storedShape, floats: { parameter.storedValues })
  }
}

/// What ends a training run.
enum TrainingError: ClassifiedError, Equatable, CustomStringConvertible {
  case notFinite(step: Int, loss: Float, gradientNorm: Float)
  case weightsNotFinite(stage: String)
  case noStep(path: String)

  var kind: FailureKind {
    switch self {
    case .notFinite, .weightsNotFinite: .notFinite
    case .noStep: .input
    }
  }

  var description: String {
    switch self {
    case .notFinite(let step, let loss, let norm):
      "step \(step): the loss is \(loss) and the gradients' norm \(norm); the last checkpoint is "
        + "kept: lower the learning rate and run again"
    case .weightsNotFinite(let stage):
      "stage \(stage): the trained weights are not finite; lower \(stage).learning_rate and run again"
    case .noStep(let path): "\(path): the header does not say how many steps were made"
    }
  }
}
