public import Autograd
import TensorCore

/// The Diffusion-DPO loss over a batch of comparisons, with the same noise for both images.
///
///     e(x) = mean over elements of (target - output(x_t))^2
///     margin = -beta / 2 ((e_win - e_win_ref) - (e_lose - e_lose_ref))
///     loss = mean over comparisons of -log sigmoid(margin)
///
/// `beta` is that of the paper and of its code, T times the KL weight; diffusers' script for Stable
/// Diffusion v1.5 omits the factor 1/2, so that its `--beta_dpo 2500` is 5000 here.
///
/// With a safeguard mu, the value is unchanged, but the gradient of each e_lose is scaled so that
/// an update does not raise e_win, to first order, as far as the outputs' gradients g = grad e
/// represent those of the weights:
///
///     scale = min(1, (1 - mu) |g_win|^2 / (g_win . g_lose)) where g_win . g_lose > 0, else 1
///
/// The authors' code has one scale for all comparisons on a device; here each comparison has its
/// own, which is the same if each is computed separately, and does not depend on how a batch is
/// divided.
///
/// - Source: Wallace et al. 2023, arXiv 2311.12908, equation 14; the safeguard is Diffusion-SDPO, Fu et al. 2025,
///   arXiv 2511.03317, whose published mu is 0.9
public struct DirectPreferenceLoss {
  public var beta: Float
  /// From 0, where the winner's error just does not rise, to 1, where the loser adds nothing to a
  /// gradient that it shares; nil: no safeguard.
  public var safeguard: Float?

  public init(beta: Float, safeguard: Float? = nil) {
    self.beta = beta
    self.safeguard = safeguard
  }

  public struct Result {
    public let loss: Tensor
    /// Positive if the tuned model prefers the winner more than the reference does; one per
    /// comparison.
    public let margins: [Float]
    /// By how much the tuned model's error exceeds the reference's.
    public let winErrorChanges: [Float]
    public let loseErrorChanges: [Float]
    /// The factor of the gradient of each loser's error: 1 without a safeguard.
    public let loserScales: [Float]
  }

  /// - Parameters:
  ///   - target: the ideal model output, `[2 comparisons, height, width, channels]`: all winners,
  ///     then all losers
  ///   - tuned: the tuned model's output, through which gradients flow
  ///   - reference: the reference model's output
  public func callAsFunction(target: Tensor, tuned: Tensor, reference: Tensor) -> Result {
    // (tuned - target)^2 - (reference - target)^2: subtracting two errors of about 1 would lose the
    // digits that beta amplifies.
    let changes = ((tuned - reference) * (tuned + reference - target.scaled(by: 2)))
      .mean(over: 1..<target.shape.count)
    let halves = changes.split(axis: 0, into: 2)
    let scales = safeguard.map { loserScales(target: target, tuned: tuned.detached, margin: $0) }
    // The value of x.detached with the gradient of x times the scale: the difference is 0.
    let lose =
      scales.map { (halves[1] - halves[1].detached) * $0 + halves[1].detached } ?? halves[1]
    let margins = (halves[0] - lose).scaled(by: -beta / 2)
    return Result(
      loss: margins.mapped(by: .logSigmoid).mean().scaled(by: -1), margins: margins.values,
      winErrorChanges: halves[0].values, loseErrorChanges: halves[1].values,
      loserScales: scales?.values ?? halves[1].values.map { _ in 1 })
  }

  /// Returns one scale per comparison.
  private func loserScales(target: Tensor, tuned: Tensor, margin: Float) -> Tensor {
    // Residuals, to which the gradients are proportional.
    let halves = (tuned - target).split(axis: 0, into: 2)
    func products(_ a: Tensor, _ b: Tensor) -> [Float] {
      (a * b).sum(over: 1..<a.shape.count).values
    }
    let squares = products(halves[0], halves[0])
    let shared = products(halves[0], halves[1])
    return Tensor(
      zip(squares, shared).map { $1 > 0 ? min(1, (1 - margin) * $0 / $1) : 1 },
      shape: [squares.count])
  }
}

extension DirectPreferenceLoss.Result {
  /// Returns 1 for each comparison that the tuned model, relative to the reference, orders like its
  /// label, 0 for the others, and 0.5 if it does not distinguish the images.
  public var agreements: [Float] { margins.map { $0 > 0 ? 1 : $0 == 0 ? 0.5 : 0 } }
}

/// Returns the diffusion model's training loss, the mean of `(target - output(x_t))^2` over images
/// and elements.
///
/// - Parameter target: the ideal model output, in the shape of `output`
/// - Source: Ho et al. 2020, arXiv 2006.11239, equation 14
public func denoisingLoss(target: Tensor, output: Tensor) -> Tensor {
  (output - target).mapped(by: .square).mean()
}
