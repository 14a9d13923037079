import Autograd
import NN
import TensorCore

/// The gradients of a batch that is computed in parts.
struct GradientSum {
  private let parameters: [Parameter]
  private(set) var gradients: [Tensor?]
  /// The sum of the parts' losses.
  private(set) var loss: Float = 0

  init(_ parameters: [Parameter]) {
    self.parameters = parameters
    gradients = parameters.map { _ in nil }
  }

  /// Adds `weight` times the gradients of a part's loss.
  mutating func add(_ part: Tensor, weight: Float = 1) {
    let scaled = part.scaled(by: weight)
    loss += scaled.scalar
    addGradients(of: scaled, for: parameters.map(\.tensor), to: &gradients)
  }
}
