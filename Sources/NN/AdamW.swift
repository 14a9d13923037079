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
  private var means: ArrayStore
  private var squares: ArrayStore

  /// The storage of the running means.
  public enum MomentPlace: Equatable, Sendable {
    case memory
    /// On the disk of a folder.
    case disk(folder: String)
  }

  public init(
    _ parameters: [Parameter], settings: Settings, moments place: MomentPlace = .memory
  ) throws {
    self.parameters = parameters
    self.settings = settings
    let shapes = parameters.map(\.tensor.shape)
    means = try ArrayStore(zerosOf: shapes, in: place)
    squares = try ArrayStore(zerosOf: shapes, in: place)
  }

  /// Updates every parameter that has a gradient.
  ///
  /// - Parameter scale: what the gradients are multiplied with first
  public mutating func update(
    _ gradients: [Tensor?], learningRate: Float, scale: Float = 1
  ) throws {
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
      guard var gradient = gradients[index] else { continue }
      if scale != 1 { gradient = gradient.scaled(by: scale) }
      let mean = try means.load(index)
      let square = try squares.load(index)
      parameter.tensor.update(by: step, gradient: gradient, mean: mean, square: square)
      try means.store(mean, at: index)
      try squares.store(square, at: index)
      parameter.valuesChanged()
    }
  }

  /// One array of the state, flat and in memory's order.
  public struct StateArray {
    /// `mean.KEY` or `square.KEY`.
    public let name: String
    public let count: Int
    /// As they are when they are asked for.
    public let values: () throws -> [Float]
  }

  /// The state carried from one update to the next, besides the parameters.
  public var state: [StateArray] {
    [("mean", means), ("square", squares)].flatMap { kind, store in
      parameters.enumerated().map { index, parameter in
        StateArray(
          name: "\(kind).\(parameter.name)", count: parameter.tensor.count,
          values: { try store.load(index).values })
      }
    }
  }

  /// Takes up a state that `state` gave.
  ///
  /// - Parameter values: the array of a name
  public mutating func restore(stepCount: Int, values: (String) throws -> [Float]) throws {
    self.stepCount = stepCount
    for (index, parameter) in parameters.enumerated() {
      let shape = parameter.tensor.shape
      try means.store(Tensor(try values("mean.\(parameter.name)"), shape: shape), at: index)
      try squares.store(Tensor(try values("square.\(parameter.name)"), shape: shape), at: index)
    }
  }
}

/// The joint Euclidean norm of gradients, and what to multiply them with so that it is at most `limit`.
///
/// A norm that is not finite is for the caller to stop.
public func clipping(
  _ gradients: [Tensor?], toNorm limit: Float
) -> (norm: Float, scale: Float) {
  let total = gradients.reduce(0.0) { sum, gradient in
    sum + (gradient?.squareSum ?? 0)
  }
  let norm = Float(total.squareRoot())
  // The small term is PyTorch's.
  return (norm, norm > limit ? limit / (norm + 1e-6) : 1)
}
