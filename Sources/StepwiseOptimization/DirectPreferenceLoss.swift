public import Autograd
import TensorCore

/// The loss of Diffusion-DPO over a batch of comparisons, both images noised alike.
///
///     e(x) = mean over elements of (target - output(x_t))^2
///     margin = -beta / 2 ((e_win - e_win_ref) - (e_lose - e_lose_ref))
///     loss = mean over comparisons of -log sigmoid(margin)
///
/// `beta` is that of the paper and of its code, T times the KL weight; diffusers' script for Stable Diffusion
/// v1.5 leaves out the half, so that its `--beta_dpo 2500` is 5000 here.
///
/// With a safeguard mu, the value stays, but the gradient of each e_lose is scaled so that an update does not raise
/// e_win, to first order, as far as the outputs' gradients g = grad e say what those of the weights are:
///
///     scale = min(1, (1 - mu) |g_win|^2 / (g_win . g_lose)) where g_win . g_lose > 0, else 1
///
/// The authors' code has one scale for all comparisons of a device; here each comparison has its own, which is the
/// same where each is computed by itself, and does not depend on how a batch is divided.
///
/// - Source: Wallace et al. 2023, arXiv 2311.12908, equation 14; the safeguard is Diffusion-SDPO, Fu et al. 2025,
///   arXiv 2511.03317, whose published mu is 0.9
public struct DirectPreferenceLoss {
  public var beta: Float
  /// From 0, where the winner's error may just not rise, to 1, where the loser adds nothing to a gradient that
  /// it shares; nil: no safeguard.
  public var safeguard: Float?

  public init(beta: Float, safeguard: Float? = nil) {
    self.beta = beta
    self.safeguard = safeguard
  }

  public struct Result {
    public let loss: Tensor
    /// Above 0 where the tuned model prefers the winner more than the reference does; one for each comparison.
    public let margins: [Float]
    /// How much larger the tuned model's error is than the reference's.
    public let winErrorChanges: [Float]
    public let loseErrorChanges: [Float]
    /// What the gradient of each loser's error is multiplied by: 1 without a safeguard.
    public let loserScales: [Float]
  }

  /// - Parameters:
  ///   - target: what a perfect model would give, `[2 comparisons, height, width, channels]`: of all winners,
  ///     then of all losers
  ///   - tuned: the tuned model's output, through which gradients flow
  ///   - reference: the reference model's
  public func callAsFunction(target: Tensor, tuned: Tensor, reference: Tensor) -> Result {
    // (tuned - target)^2 - (reference - target)^2: the difference of two errors of about 1 would be off in
    // the digits that beta brings up.
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

  /// One scale for each comparison.
  private func loserScales(target: Tensor, tuned: Tensor, margin: Float) -> Tensor {
    // Residuals, which the gradients are in proportion to.
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
  /// 1 for each comparison that the tuned model orders as its label does, measured against the reference, 0 for
  /// the others, and 0.5 where it does not tell the images apart.
  public var agreements: [Float] { margins.map { $0 > 0 ? 1 : $0 == 0 ? 0.5 : 0 } }
}

/// The loss of a diffusion model's own training, the mean of `(target - output(x_t))^2` over images and elements.
///
/// - Parameter target: what a perfect model would give, of the shape of `output`
/// - Source: Ho et al. 2020, arXiv 2006.11239, equation 14
public func denoisingLoss(target: Tensor, output: Tensor) -> Tensor {
  (output - target).mapped(by: .square).mean()
}
