import Files

extension SamplingPlan {
  /// Pseudo linear multistep: each step combines up to four model outputs.
  ///
  /// The second step repeats the first with the mean of two outputs. Not supported: the Runge-Kutta
  /// start (`skip_prk_steps` false), rejected by name.
  ///
  /// Source: Liu et al. 2022, arXiv 2202.09778, equations 9 and 12; diffusers' `PNDMScheduler`.
  static func pndm(_ config: SchedulerConfig, stepCount: Int) throws -> SamplingPlan {
    guard try config.json.bool("skip_prk_steps", default: false) else {
      throw SchedulerError.unsupported(
        path: config.json.path, key: "skip_prk_steps",
        found: try config.json.optional("skip_prk_steps") == nil ? "false (absent)" : "false",
        supported: "true")
    }
    let prediction = try config.predictionType()
    guard prediction != .x0 else {
      throw SchedulerError.unsupported(
        path: config.json.path, key: "prediction_type", found: prediction.rawValue,
        supported: "epsilon, v_prediction")
    }
    let schedule = try NoiseSchedule(config, isRescalable: false)
    let final: Float =
      try config.json.bool("set_alpha_to_one", default: false) ? 1 : schedule.alphaBar[0]
    let timesteps = try config.timesteps(stepCount: stepCount, of: schedule, spacing: .leading)
      .map { Int($0) }
    let interval = schedule.count / stepCount

    /// Returns a step that weights all newest outputs by `recent` and its own by `fresh`.
    func step(
      told: Int, from: Int, to: Int, fresh: Float = 0, recent: [Float], isCorrection: Bool = false
    ) -> SamplingStep {
      let alphaBar = schedule.alphaBar[min(from, schedule.count - 1)]
      let target = to >= 0 ? schedule.alphaBar[to] : final
      let sampleScale = (target / alphaBar).squareRoot()
      let divisor =
        alphaBar * (1 - target).squareRoot() + (alphaBar * (1 - alphaBar) * target).squareRoot()
      let noiseScale = -(target - alphaBar) / divisor
      let noise = prediction.noise(
        alpha: alphaBar.squareRoot(), sigma: (1 - alphaBar).squareRoot())
      return SamplingStep(
        timestep: Float(told),
        recorded: isCorrection ? nil : LinearCombination(sample: 0, output: 1),
        next: LinearCombination(
          sample: sampleScale + noiseScale * noise.sample,
          output: noiseScale * noise.output * fresh),
        history: recent.map { noiseScale * noise.output * $0 }, isCorrection: isCorrection)
    }

    let weights: [[Float]] = [
      [1], [1.5, -0.5], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24],
    ]
    var steps: [SamplingStep] = []
    for (index, timestep) in timesteps.enumerated() {
      if index == 1 {
        steps.append(
          step(
            told: timestep, from: timestep + interval, to: timestep, fresh: 0.5, recent: [0.5],
            isCorrection: true))
      }
      steps.append(
        step(
          told: timestep, from: timestep, to: timestep - interval,
          recent: weights[min(index, 3)]))
    }
    return SamplingPlan(steps: steps)
  }
}
