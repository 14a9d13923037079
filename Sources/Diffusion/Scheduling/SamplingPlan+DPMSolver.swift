import Files
import Glibc

extension SamplingPlan {
  /// DPM-Solver++ of first or second order, multistep: exponential integration of x0 predictions.
  ///
  /// Not supported, rejected by name: other algorithms and orders, other spacings of levels than
  /// the schedule's and Karras', learned variances, dynamic thresholding.
  ///
  /// Source: Lu et al. 2022, arXiv 2211.01095, algorithm 2; diffusers' `DPMSolverMultistepScheduler`.
  static func dpmSolver(_ config: SchedulerConfig, stepCount: Int) throws -> SamplingPlan {
    try config.requireOff(
      "thresholding", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas",
      "use_flow_sigmas")
    try config.require("algorithm_type", "dpmsolver++")
    let json = config.json
    if try json.string("beta_schedule", default: "linear") == "squaredcos_cap_v2" {
      try config.requireOff("use_karras_sigmas")  // timesteps would coincide
    }
    // A learned one would double the model's outputs; the others are for steps that this method lacks.
    if let variance = try json.optional("variance_type")?.string(), variance.hasPrefix("learned") {
      throw SchedulerError.unsupported(
        path: json.path, key: "variance_type", found: variance, supported: "null, fixed_small, ...")
    }
    let order = try json.int("solver_order", default: 2)
    guard (1...2).contains(order) else {
      throw SchedulerError.unsupported(
        path: json.path, key: "solver_order", found: "\(order)", supported: "1, 2")
    }
    // Other solvers' names count as the midpoint's in diffusers, too.
    let isOfOthers = try ["bh1", "bh2", "logrho"].contains(json.string("solver_type", default: ""))
    let solver =
      try isOfOthers ? .midpoint : config.choice("solver_type", default: SolverType.midpoint)
    let prediction = try config.predictionType()
    let levels = try NoiseLevels(config)
    let lowestLambda = Float(try json.double("lambda_min_clipped", default: -.infinity))
    let last = levels.schedule.alphaBar.count { lambda(alphaBar: $0) >= lowestLambda }
    let timesteps = try config.timesteps(
      stepCount: stepCount, of: levels.schedule, spacing: .linspace, extra: 1, last: last)
    let track = try levels.track(timesteps, config, isRounded: true)

    let count = track.timesteps.count
    let endsAtZero = track.sigmas[count] == 0
    let isFewSteps = try count < 15 && json.bool("lower_order_final", default: true)
    let endsFirstOrder = try endsAtZero || isFewSteps || json.bool("euler_at_final", default: false)
    let steps = (0..<count).map { index in
      let start = Level(track.sigmas[index])
      let end = Level(track.sigmas[index + 1])
      let h = end.lambda - start.lambda
      let decay = exp(-h) - 1
      var history = [-end.alpha * decay]
      if order == 2, index > 0, !(index == count - 1 && endsFirstOrder) {
        let ratio = (start.lambda - Level(track.sigmas[index - 1]).lambda) / h
        let slope =
          switch solver {
          case .midpoint: -0.5 * end.alpha * decay
          case .heun: end.alpha * (decay / h + 1)
          }
        history[0] += slope / ratio
        history.append(-slope / ratio)
      }
      return SamplingStep(
        timestep: track.timesteps[index],
        recorded: prediction.predictedX0(alpha: start.alpha, sigma: start.sigma),
        next: LinearCombination(sample: end.sigma / start.sigma, output: 0), history: history)
    }
    return SamplingPlan(steps: steps)
  }

  private enum SolverType: String, CaseIterable {
    case midpoint
    case heun
  }

  /// Half the logarithm of the signal-to-noise ratio.
  private static func lambda(alphaBar: Float) -> Float {
    log(alphaBar.squareRoot()) - log((1 - alphaBar).squareRoot())
  }
}

/// A noise level in the variance-preserving process, where alpha^2 + sigma^2 = 1.
private struct Level {
  let alpha: Float
  let sigma: Float
  var lambda: Float { log(alpha) - log(sigma) }

  init(_ level: Float) {
    alpha = 1 / (level * level + 1).squareRoot()
    sigma = level * alpha
  }
}
