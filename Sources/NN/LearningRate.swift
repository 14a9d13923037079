import Foundation

/// How the learning rate changes over a training run: a linear rise, then a way down.
public struct LearningRateSchedule: Codable, Equatable, Sendable {
  public enum Decay: String, Codable, Sendable {
    case constant
    case linear
    case cosine
  }

  public var peak: Float
  public var warmUpSteps: Int
  public var decay: Decay
  /// The step at which the decay ends.
  public var steps: Int
  /// The rate at the end as a share of the peak.
  public var finalShare: Float

  public init(
    peak: Float, warmUpSteps: Int = 0, decay: Decay = .constant, steps: Int = 0,
    finalShare: Float = 0
  ) {
    self.peak = peak
    self.warmUpSteps = warmUpSteps
    self.decay = decay
    self.steps = steps
    self.finalShare = finalShare
  }

  /// The rate of update `step`, counted from 0.
  public func rate(at step: Int) -> Float {
    if step < warmUpSteps { return peak * Float(step + 1) / Float(warmUpSteps + 1) }
    let length = max(1, steps - warmUpSteps)
    let progress = min(1, Float(step - warmUpSteps) / Float(length))
    switch decay {
    case .constant: return peak
    case .linear: return peak * (1 - (1 - finalShare) * progress)
    case .cosine: return peak * (finalShare + (1 - finalShare) * 0.5 * (1 + cos(.pi * progress)))
    }
  }
}
