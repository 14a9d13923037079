import Foundation

/// The learning rate schedule of a training run: warm-up, then decay.
public struct LearningRateSchedule: Codable, Equatable, Sendable {
  public enum WarmUp: String, CaseIterable, Codable, Sendable {
    /// Linear in the number of updates.
    case linear
    /// By the logarithm of the update's number, as DeepSpeed's `WarmupDecayLR` does by default.
    ///
    /// DeepSpeed sets a rate after each update, so the first one runs at the optimizer's own rate, which
    /// is the peak, the second at 0, and update i, counted from 0, at log(i) / log(warmUpSteps) of the
    /// peak; the way down is an update late, too.
    case log
  }

  public enum Decay: String, Codable, Sendable {
    case constant
    case linear
    case cosine
  }

  public var peak: Float
  public var warmUp: WarmUp
  /// Updates until the rate is at its peak; 0: none.
  public var warmUpSteps: Int
  public var decay: Decay
  /// The step at which the decay ends.
  public var steps: Int
  /// The rate at the end as a share of the peak.
  public var finalShare: Float

  public init(
    peak: Float, warmUp: WarmUp = .linear, warmUpSteps: Int = 0, decay: Decay = .constant,
    steps: Int = 0,
    finalShare: Float = 0
  ) {
    self.peak = peak
    self.warmUp = warmUp
    self.warmUpSteps = warmUpSteps
    self.decay = decay
    self.steps = steps
    self.finalShare = finalShare
  }

  /// The rate of update `step`, counted from 0.
  public func rate(at step: Int) -> Float {
    guard warmUpSteps > 0 else { return decayed(at: step) }
    switch warmUp {
    case .linear:
      guard step < warmUpSteps else { return decayed(at: step) }
      return peak * Float(step + 1) / Float(warmUpSteps + 1)
    case .log:
      guard step > 0 else { return peak }
      let last = max(2, warmUpSteps)
      guard step <= last else { return decayed(at: step - 1) }
      return peak * Float(log(Double(step)) / log(Double(last)))
    }
  }

  private func decayed(at step: Int) -> Float {
    let length = max(1, steps - warmUpSteps)
    let progress = min(1, Float(step - warmUpSteps) / Float(length))
    switch decay {
    case .constant: return peak
    case .linear: return peak * (1 - (1 - finalShare) * progress)
    case .cosine: return peak * (finalShare + (1 - finalShare) * 0.5 * (1 + cos(.pi * progress)))
    }
  }
}
