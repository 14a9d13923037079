package import Autograd
package import Checkpoints
import Files
import Foundation
package import NN
import PipelineCore
package import Ranks

/// The state that a training run needs to resume: parameters, optimizer and averages.
///
/// A checkpoint contains `weights.safetensors` (in the layout of model files),
/// `optimizer.safetensors`, `average.safetensors` if averages are kept, and `gradients.safetensors`
/// if gradients wait for more.
package struct TrainingState {
  package let parameters: [Parameter]
  var optimizer: AdamW
  /// Exponential moving averages of the parameters, if requested.
  private(set) var average: [Tensor]?
  let schedule: LearningRateSchedule
  /// The joint norm to which gradients are clipped; nil: they are not.
  let gradientLimit: Float?
  /// The processes that train together, see ``share()``.
  let ranks: Communicator
  /// The gradients of batches that make an update only together with the next ones.
  var carried: GradientSum?

  /// - Parameter place: where the optimizer's running means are kept
  package init(
    _ parameters: [Parameter], optimizer: AdamW.Settings, schedule: LearningRateSchedule,
    gradientLimit: Float? = 1, keepsAverage: Bool = false,
    moments place: AdamW.MomentPlace = .memory, ranks: Communicator = Communicator()
  ) throws {
    self.parameters = parameters
    self.ranks = ranks
    self.optimizer = try AdamW(
      ranks.isFirst ? parameters : [], settings: optimizer, moments: ranks.isFirst ? place : .memory
    )
    self.schedule = schedule
    self.gradientLimit = gradientLimit
    average =
      keepsAverage ? parameters.map { Tensor($0.tensor.values, shape: $0.tensor.shape) } : nil
  }

  /// The number of updates so far.
  var step: Int { optimizer.stepCount }

  /// Performs one update with the gradients of `loss`.
  ///
  /// - Returns: the norm of the gradients
  /// - Throws: `TrainingError.notFinite` before anything is changed
  package mutating func update(minimizing loss: Tensor) throws -> Float {
    let found = gradients(of: loss, for: parameters.map(\.tensor))
    return try update(found, loss: loss.scalar)
  }

  /// Performs one update with gradients accumulated elsewhere, on rank 0, and sends the weights to
  /// all ranks.
  mutating func update(_ gradients: [Tensor?], loss: Float) throws -> Float {
    guard ranks.isFirst else {
      try shareWeights()
      return 0
    }
    let (norm, scale) = clipping(gradients, toNorm: gradientLimit ?? .infinity)
    guard loss.isFinite, norm.isFinite else {
      throw TrainingError.notFinite(step: step, loss: loss, gradientNorm: norm)
    }
    try optimizer.update(gradients, learningRate: schedule.rate(at: step), scale: scale)
    try shareWeights()
    return norm
  }

  /// Moves the averages towards the parameters: `average = decay average + (1 - decay) value`.
  package mutating func updateAverage(decay: Float) {
    guard let average else { return }
    for (mean, parameter) in zip(average, parameters) {
      mean.average(with: parameter.tensor, keeping: decay)
    }
  }

  /// Replaces the parameters by the averages, permanently.
  package func adoptAverage() { copyAverage(to: parameters) }

  /// Copies the averages to other parameters, of the same shapes.
  func copyAverage(to parameters: [Parameter]) {
    guard let average else { return }
    for (mean, parameter) in zip(average, parameters) {
      parameter.assignInMemory(mean)
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
    if let carried { try write(carried, to: Self.gradientsPath(in: folder)) }
  }

  private static func gradientsPath(in folder: String) -> String {
    "\(folder)/gradients.safetensors"
  }

  /// In memory order, like the optimizer's means.
  private func write(_ sum: GradientSum, to path: String) throws {
    try writeSafetensors(
      zip(parameters, sum.gradients).compactMap { parameter, gradient in
        gradient.map { gradient in
          OutgoingTensor(
            parameter.name, shape: [gradient.count], floats: { gradient.values })
        }
      }, metadata: ["batches": "\(sum.batches)", "loss": "\(sum.loss)"], to: path)
  }

  private func readGradients(from path: String) throws -> GradientSum {
    let file = try SafetensorsFile(path: path)
    guard let batches = file.metadata["batches"].flatMap({ Int($0) }),
      let loss = file.metadata["loss"].flatMap({ Float($0) })
    else { throw TrainingError.noBatches(path: path) }
    let names = Set(file.entries.map(\.name))
    return GradientSum(
      parameters,
      gradients: try parameters.map { parameter in
        guard names.contains(parameter.name) else { return nil }
        return Tensor(try file.floats(parameter.name), shape: parameter.tensor.shape)
      }, loss: loss, batches: batches)
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
        mean.assign(
          try Tensor(shape: mean.shape) { try file.readFloats(parameter.name, into: $0) })
      }
    }
    let path = Self.gradientsPath(in: folder)
    carried = Folders.exists(path) ? try readGradients(from: path) : nil
  }
}

extension OutgoingTensor {
  /// Creates an entry for a parameter under a name, in the layout of model files.
  package init(_ name: String, type: ElementType = .f32, storing parameter: Parameter) {
    self.init(
      name, type: type, shape: parameter.storedShape, floats: { parameter.storedValues })
  }
}

/// An error that ends a training run.
enum TrainingError: ClassifiedError, Equatable, CustomStringConvertible {
  case notFinite(step: Int, loss: Float, gradientNorm: Float)
  case weightsNotFinite(stage: String)
  case noStep(path: String)
  case noBatches(path: String)

  var kind: FailureKind {
    switch self {
    case .notFinite, .weightsNotFinite: .notFinite
    case .noStep, .noBatches: .input
    }
  }

  var description: String {
    switch self {
    case .notFinite(let step, let loss, let norm):
      "step \(step): the loss is \(loss) and the gradients' norm \(norm); the last checkpoint is "
        + "kept: lower the learning rate and run again"
    case .weightsNotFinite(let stage):
      "stage \(stage): the trained weights are not finite; lower \(stage).learning_rate and run again"
    case .noStep(let path): "\(path): the header lacks the number of steps"
    case .noBatches(let path):
      "\(path): the header lacks the number of batches in the gradients"
    }
  }
}
