import Files
import Glibc

/// Denoising diffusion implicit models (DDIM): the sampler of SPO, and of diffusers'
/// `DDIMScheduler`.
///
///     x_prev = sqrt(aBar_prev) x0 + sqrt(1 - aBar_prev - sigma^2) noise + sigma z
///     sigma^2 = eta^2 (1 - aBar_prev) / (1 - aBar_t) (1 - aBar_t / aBar_prev)
///
/// Not supported: dynamic thresholding (rejected by name), which is not meant for latents.
///
/// Source: Song et al. 2021, arXiv 2010.02502, equations 12 and 16.
public struct DDIMScheduler: Sendable {
  /// The end of a step below timestep 0.
  public enum FinalStep: Sendable {
    /// diffusers: alphaBar 1 if `set_alpha_to_one`, else that of timestep 0.
    case asConfigured
    /// SPO: timestep 0 itself.
    case timestepZero
  }

  public let schedule: NoiseSchedule
  public let predictionType: PredictionType
  /// The bound to which x0 predictions are clipped on either side of 0.
  public let clipRange: Float?
  private let finalAlphaBar: Float
  private let config: SchedulerConfig

  public init(_ config: SchedulerConfig) throws {
    try config.requireOff("thresholding")
    schedule = try NoiseSchedule(config)
    predictionType = try config.predictionType()
    let range = Float(try config.json.double("clip_sample_range", default: 1))
    clipRange = try config.json.bool("clip_sample", default: true) ? range : nil
    let endsAtOne = try config.json.bool("set_alpha_to_one", default: true)
    finalAlphaBar = endsAtOne ? 1 : schedule.alphaBar[0]
    self.config = config
  }

  /// Returns the timesteps of `stepCount` steps, in descending order.
  public func timesteps(stepCount: Int) throws -> [Int] {
    let timesteps = try config.timesteps(stepCount: stepCount, of: schedule, spacing: .leading)
      .map { Int($0) }
    // In pure noise, x0 cannot be recovered from a noise prediction.
    guard predictionType != .noise || schedule.alphaBar[timesteps[0]] > 0 else {
      throw SchedulerError.unsupported(
        path: config.json.path, key: "prediction_type", found: "epsilon",
        supported: "v_prediction where the last timestep is pure noise")
    }
    return timesteps
  }

  /// Returns the step from `timestep`, one of 0..<schedule.count, to the one that is schedule.count
  /// / stepCount lower.
  public func step(
    from timestep: Int, stepCount: Int, eta: Float, finalStep: FinalStep = .asConfigured
  ) throws(SchedulerError) -> DDIMStep {
    guard (0...1).contains(eta) else { throw .eta(eta) }
    guard stepCount >= 1, schedule.alphaBar.indices.contains(timestep) else {
      throw .stepCount(
        stepCount, path: config.json.path, problem: "timestep \(timestep) is not in the schedule")
    }
    let alphaBar = schedule.alphaBar[timestep]
    let previous = timestep - schedule.count / stepCount
    let previousAlphaBar =
      switch finalStep {
      case .asConfigured: previous >= 0 ? schedule.alphaBar[previous] : finalAlphaBar
      case .timestepZero: schedule.alphaBar[max(previous, 0)]
      }
    let variance = (1 - previousAlphaBar) / (1 - alphaBar) * (1 - alphaBar / previousAlphaBar)
    let sigma = eta * max(variance, 0).squareRoot()
    let alpha = alphaBar.squareRoot()
    let noiseScale = (1 - alphaBar).squareRoot()
    return DDIMStep(
      timestep: timestep,
      predictedX0: predictionType.predictedX0(alpha: alpha, sigma: noiseScale),
      noise: predictionType.noise(alpha: alpha, sigma: noiseScale),
      clipRange: clipRange,
      predictedX0Scale: previousAlphaBar.squareRoot(),
      noiseScale: max(1 - previousAlphaBar - sigma * sigma, 0).squareRoot(),
      sigma: sigma)
  }
}

/// The coefficients of one DDIM step.
///
///     x0 = predictedX0(x_t, output), clipped;  mean = predictedX0Scale x0 + noiseScale noise(x_t, output)
public struct DDIMStep: Equatable, Sendable {
  public let timestep: Int
  public let predictedX0: LinearCombination
  public let noise: LinearCombination
  public let clipRange: Float?
  public let predictedX0Scale: Float
  public let noiseScale: Float
  /// The standard deviation of x_prev around its mean; 0 for a deterministic step.
  public let sigma: Float
}
