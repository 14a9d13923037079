import Files
import Glibc

extension SamplingPlan {
  /// Euler's method on dx/dsigma = (x - x0) / sigma, where x = x0 + sigma noise.
  ///
  /// Not supported, rejected by name: log-linear interpolation, exponential and beta sigmas,
  /// continuous timesteps.
  ///
  /// Source: Karras et al. 2022, arXiv 2206.00364, algorithm 2 without churn; diffusers'
  /// `EulerDiscreteScheduler`.
  static func euler(_ config: SchedulerConfig, stepCount: Int) throws -> SamplingPlan {
    try config.requireOff("use_exponential_sigmas", "use_beta_sigmas")
    try config.require("interpolation_type", "linear")
    try config.require("timestep_type", "discrete")
    let prediction = try config.predictionType()
    let levels = try NoiseLevels(config)
    let timesteps = try config.timesteps(
      stepCount: stepCount, of: levels.schedule, spacing: .linspace, isExact: true)
    let track = try levels.track(timesteps, config)
    let steps = track.timesteps.indices.map { index in
      let sigma = track.sigmas[index]
      let scale = 1 / (sigma * sigma + 1).squareRoot()
      // x and sigma here are those of the variance-preserving process divided by alpha.
      let x0 = prediction.predictedX0(alpha: scale, sigma: sigma * scale)
      let slope = (track.sigmas[index + 1] - sigma) / sigma
      return SamplingStep(
        timestep: track.timesteps[index], inputScale: scale,
        next: LinearCombination(
          sample: 1 + slope * (1 - x0.sample * scale), output: -slope * x0.output),
        history: [])
    }
    let largest = track.sigmas.max() ?? 1
    let spacing = try config.choice("timestep_spacing", default: TimestepSpacing.linspace)
    return SamplingPlan(
      steps: steps,
      initialNoiseScale: spacing == .leading ? (largest * largest + 1).squareRoot() : largest)
  }
}

/// The noise levels sigma = sqrt(1 - alphaBar) / sqrt(alphaBar) of a schedule.
struct NoiseLevels {
  let schedule: NoiseSchedule
  private let sigmas: [Float]

  init(_ config: SchedulerConfig) throws {
    var schedule = try NoiseSchedule(config)
    if try config.json.bool("rescale_betas_zero_snr", default: false) {
      // Almost 0, so that no level is infinite.
      schedule.alphaBar[schedule.count - 1] = 0x1p-24
    }
    self.schedule = schedule
    sigmas = schedule.alphaBar.map { ((1 - $0) / $0).squareRoot() }
  }

  /// Returns the levels of the timesteps, then the one at which the last step ends.
  ///
  /// Karras' spacing of levels, if enabled, replaces the timesteps. Solvers with integer timesteps
  /// (`isRounded`) spread it over the whole schedule, the others over their timesteps.
  func track(
    _ timesteps: [Float], _ config: SchedulerConfig, isRounded: Bool = false
  ) throws -> (timesteps: [Float], sigmas: [Float]) {
    var timesteps = timesteps
    var levels = timesteps.map(level)
    if try config.json.bool("use_karras_sigmas", default: false) {
      let range = isRounded ? [Double(sigmas[sigmas.count - 1]), Double(sigmas[0])] : levels
      levels = Self.karras(
        from: try config.json.double("sigma_max", default: range[0]),
        to: try config.json.double("sigma_min", default: range[range.count - 1]),
        count: levels.count)
      let logarithms = sigmas.map { Double(log($0)) }
      timesteps = levels.map {
        let timestep = Self.timestep(of: $0, in: logarithms)
        return Float(isRounded ? timestep.rounded(.toNearestOrEven) : timestep)
      }
    }
    let end: Float =
      switch try config.choice("final_sigmas_type", default: FinalLevel.zero) {
      case .zero: 0
      case .lowest: sigmas[0]
      }
    return (timesteps, levels.map { Float($0) } + [end])
  }

  private enum FinalLevel: String, CaseIterable {
    case zero
    case lowest = "sigma_min"
  }

  /// Returns the level at a fractional timestep, by linear interpolation.
  private func level(_ timestep: Float) -> Double {
    let below = min(Int(timestep), sigmas.count - 1)
    let above = min(below + 1, sigmas.count - 1)
    let fraction = Double(timestep) - Double(below)
    return Double(sigmas[below]) + fraction * (Double(sigmas[above]) - Double(sigmas[below]))
  }

  /// Returns levels whose seventh roots are evenly spaced.
  ///
  /// Source: Karras et al. 2022, equation 5.
  private static func karras(from highest: Double, to lowest: Double, count: Int) -> [Double] {
    let rho = 7.0
    let high = pow(highest, 1 / rho)
    let low = pow(lowest, 1 / rho)
    return (0..<count).map {
      pow(high + Double($0) / Double(max(1, count - 1)) * (low - high), rho)
    }
  }

  /// Returns the timestep of a level, interpolated in its logarithm.
  private static func timestep(of level: Double, in logarithms: [Double]) -> Double {
    guard logarithms.count > 1 else { return 0 }
    let logarithm = log(max(level, 1e-10))
    let below = min(logarithms.lastIndex { $0 <= logarithm } ?? 0, logarithms.count - 2)
    let fraction = (logarithms[below] - logarithm) / (logarithms[below] - logarithms[below + 1])
    return Double(below) + min(max(fraction, 0), 1)
  }
}
