import Files

/// The selection of timesteps that a sampler visits.
///
/// Source: Lin et al. 2023, arXiv 2305.08891, table 2.
enum TimestepSpacing: String, CaseIterable {
  case leading
  case linspace
  case trailing

  /// Returns the timesteps in descending order, rounded as in diffusers: integers, or for `exact`
  /// only if the spacing makes them so.
  ///
  /// `extra` more steps are laid out and the lowest dropped, as multistep solvers do.
  func timesteps(
    stepCount: Int, of count: Int, offset: Int, extra: Int = 0, last: Int? = nil,
    isExact: Bool = false
  ) -> [Float] {
    let last = last ?? count
    switch self {
    case .leading:
      let ratio = last / (stepCount + extra)
      return (extra..<stepCount + extra).reversed().map { Float($0 * ratio + offset) }
    case .linspace:
      let intervals = stepCount + extra - 1
      let step = Double(last - 1) / Double(max(1, intervals))
      return (extra..<stepCount + extra).reversed().map {
        // The last point is exact despite the rounding of the step; a single point is the first.
        let point = $0 == intervals && intervals > 0 ? Double(last - 1) : Double($0) * step
        return Float(isExact ? point : point.rounded(.toNearestOrEven))
      }
    case .trailing:
      let ratio = Double(count) / Double(stepCount)
      // The points above 0, which rounding may make one more than requested.
      let pointCount = Int((Double(last) / ratio).rounded(.up))
      let step = (Double(last) - ratio) - Double(last)
      return (0..<pointCount).map {
        Float((Double(last) + Double($0) * step).rounded(.toNearestOrEven) - 1)
      }
    }
  }
}

extension SchedulerConfig {
  /// Returns the timesteps for `stepCount` steps, checked to lie in the schedule.
  func timesteps(
    stepCount: Int, of schedule: NoiseSchedule, spacing: TimestepSpacing, extra: Int = 0,
    last: Int? = nil, isExact: Bool = false
  ) throws -> [Float] {
    let count = schedule.count
    guard stepCount >= 1, stepCount + extra <= count else {
      throw SchedulerError.stepCount(
        stepCount, path: json.path, problem: "expected 1 to \(count - extra)")
    }
    let offset = try json.int("steps_offset", default: 0)
    guard (0...count).contains(offset) else {
      throw SchedulerError.unsupported(
        path: json.path, key: "steps_offset", found: "\(offset)", supported: "0 to \(count)")
    }
    let spacing = try choice("timestep_spacing", default: spacing)
    /// Returns the timesteps; nil if they do not lie in the schedule.
    func timesteps(_ stepCount: Int) -> [Float]? {
      let timesteps = spacing.timesteps(
        stepCount: stepCount, of: count, offset: offset, extra: extra, last: last, isExact: isExact)
      guard let first = timesteps.first, first <= Float(count - 1) else { return nil }
      return timesteps.allSatisfy { $0 >= 0 } ? timesteps : nil
    }
    if let timesteps = timesteps(stepCount) { return timesteps }
    let most = (1..<stepCount).last { timesteps($0) != nil }
    throw SchedulerError.stepCount(
      stepCount, path: json.path,
      problem: "\(spacing) spacing with offset \(offset) goes beyond timestep \(count - 1)"
        + (most.map { "; the most that fit are \($0)" } ?? ""))
  }
}
