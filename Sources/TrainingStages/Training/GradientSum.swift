import Autograd
import NN
import TensorCore

/// The gradients of a batch that is computed in parts, or of several batches that make one update.
struct GradientSum {
  private let parameters: [Parameter]
  private(set) var gradients: [Tensor?]
  /// The sum of the parts' losses.
  private(set) var loss: Float
  /// The batches that are in it as a whole.
  var batches: Int

  init(
    _ parameters: [Parameter], gradients: [Tensor?]? = nil, loss: Float = 0, batches: Int = 0
  ) {
    self.parameters = parameters
    self.gradients = gradients ?? parameters.map { _ in nil }
    self.loss = loss
    self.batches = batches
  }

  /// Adds `weight` times the gradients of a part's loss.
  mutating func add(_ part: Tensor, weight: Float = 1) {
    let scaled = part.scaled(by: weight)
    loss += scaled.scalar
    addGradients(of: scaled, for: parameters.map(\.tensor), to: &gradients)
  }
}
