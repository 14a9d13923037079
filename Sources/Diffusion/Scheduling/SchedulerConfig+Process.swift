import Files

extension SchedulerConfig {
  /// Checks that the model was trained on the discrete, variance-preserving process of all samplers
  /// here, and that the numbers of its schedule are within their ranges.
  ///
  /// Training uses the process of a folder even if its sampler is unsupported; models of another
  /// process, such as the continuous noise levels of EDM or rectified flow, would be trained on
  /// noise they never saw.
  ///
  /// - Throws: `SchedulerError.unsupported`, `ConfigurationError`, or an error about the JSON's
  ///   structure
  public func requireKnownProcess() throws {
    if let name = try json.optional("_class_name")?.string(),
      !Self.discreteClasses.contains(name)
    {
      throw SchedulerError.unsupported(
        path: json.path, key: "_class_name", found: name,
        supported: Self.discreteClasses.joined(separator: ", "))
    }
    try require("timestep_type", "discrete")
    try requireOff("use_flow_sigmas")
    try json.require("sigma_data", oneOf: [])
    _ = try predictionType()
    for key in ["sigma_min", "sigma_max"] {
      _ = try json.number(key, default: 1, in: 1e-4...1e6)
    }
    _ = try json.number("clip_sample_range", default: 1, in: 1e-3...1e3)
    try requireBetas()
    let count = try NoiseSchedule(self).count
    _ = try json.size("steps_offset", default: 0, in: 0...count)
  }

  private func requireBetas() throws {
    let range: ClosedRange<Float> = 1e-9...0.999_999
    let start = try json.number("beta_start", default: 0.0001, in: range)
    let end = try json.number("beta_end", default: 0.02, in: range)
    guard start <= end else {
      throw ConfigurationError.misfit(
        path: json.path, reason: "beta_start is \(start), but beta_end \(end): noise must grow")
    }
  }

  /// The diffusers classes whose models learn the process of `DDPMScheduler`.
  private static let discreteClasses = [
    "DDIMScheduler", "DDIMParallelScheduler", "DDIMInverseScheduler", "DDPMScheduler",
    "DDPMParallelScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler", "DPMSolverSinglestepScheduler", "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler", "LCMScheduler", "LMSDiscreteScheduler", "PNDMScheduler",
    "SASolverScheduler", "TCDScheduler", "UniPCMultistepScheduler",
  ]
}
