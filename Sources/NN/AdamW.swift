public import Autograd
import Foundation
import TensorCore

/// AdamW: Adam with decoupled weight decay, as PyTorch computes it.
///
///     m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
///     p = p - rate decay p - rate (m / (1 - b1^n)) / (sqrt(v / (1 - b2^n)) + epsilon)
///
/// - Source: Loshchilov and Hutter 2019, arXiv 1711.05101
public struct AdamW {
  public struct Settings: Codable, Equatable, Sendable {
    public var beta1: Float
    public var beta2: Float
    public var epsilon: Float
    public var weightDecay: Float

    public init(
      beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8, weightDecay: Float = 0.01
    ) {
      self.beta1 = beta1
      self.beta2 = beta2
      self.epsilon = epsilon
      self.weightDecay = weightDecay
    }
  }

  public let parameters: [Parameter]
  public let settings: Settings
  /// Updates made so far.
  public private(set) var stepCount = 0
  /// The running means of the gradients and of their squares, in memory's layout.
  private var means: [Tensor]
  private var squares: [Tensor]

  public init(_ parameters: [Parameter], settings: Settings) {
    self.parameters = parameters
    self.settings = settings
    means = parameters.map { Tensor(repeating: 0, shape: $0.tensor.shape) }
    squares = parameters.map { Tensor(repeating: 0, shape: $0.tensor.shape) }
  }

  /// Updates every parameter that has a gradient.
  public mutating func update(_ gradients: [Tensor?], learningRate: Float) {
    precondition(gradients.count == parameters.count, "one gradient for each parameter")
    stepCount += 1
    let correction1 = 1 - pow(Double(settings.beta1), Double(stepCount))
    let correction2 = 1 - pow(Double(settings.beta2), Double(stepCount))
    let step = AdamWStep(
      beta1: settings.beta1, beta2: settings.beta2, epsilon: settings.epsilon,
      decay: 1 - learningRate * settings.weightDecay,
      rate: Float(Double(learningRate) / correction1),
      squareScale: Float(1 / correction2.squareRoot()))
    for (index, parameter) in parameters.enumerated() {
      guard let gradient = gradients[index] else { continue }
      step.apply(
        gradient.pointer, mean: means[index].pointer, square: squares[index].pointer,
        parameter: parameter.tensor.pointer, count: gradient.count)
      parameter.valuesChanged()
    }
  }

  /// The state as named arrays, flat and in memory's order: `mean.KEY` and `square.KEY`.
  public var state: [(name: String, values: [Float])] {
    zip(parameters, means).map { ("mean.\($0.name)", $1.values) }
      + zip(parameters, squares).map { ("square.\($0.name)", $1.values) }
  }

  /// Takes up a state that `state` gave.
  ///
  /// - Parameter values: the array of a name
  public mutating func restore(stepCount: Int, values: (String) throws -> [Float]) throws {
    self.stepCount = stepCount
    for (index, parameter) in parameters.enumerated() {
      let shape = parameter.tensor.shape
      means[index] = Tensor(try values("mean.\(parameter.name)"), shape: shape)
      squares[index] = Tensor(try values("square.\(parameter.name)"), shape: shape)
    }
  }
}

/// Scales the gradients so that their joint Euclidean norm is at most `limit`.
///
/// - Returns: the gradients and the norm they had; a norm that is not finite is for the caller to stop
public func clipped(_ gradients: [Tensor?], toNorm limit: Float) -> ([Tensor?], norm: Float) {
  let total = gradients.reduce(0.0) { sum, gradient in
    guard let gradient else { return sum }
    return sum + dotProduct(gradient.pointer, gradient.pointer, count: gradient.count)
  }
  let norm = Float(total.squareRoot())
  guard norm > limit else { return (gradients, norm) }
  // The small term is PyTorch's.
  let scale = limit / (norm + 1e-6)
  return (gradients.map { $0?.scaled(by: scale) }, norm)
}
