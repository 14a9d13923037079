public import Files

/// A problem with a scheduler's settings or its use.
public enum SchedulerError: ClassifiedError, Equatable, CustomStringConvertible {
  /// An unsupported value of a setting; `supported` lists the supported ones.
  case unsupported(path: String, key: String, found: String, supported: String)
  /// The number of steps does not suit the schedule.
  case stepCount(Int, path: String, problem: String)
  /// `eta` is not in 0...1.
  case eta(Float)

  public var kind: FailureKind {
    switch self {
    case .unsupported: .input
    case .stepCount, .eta: .settings
    }
  }

  public var description: String {
    switch self {
    case .unsupported(let path, let key, let found, let supported):
      "\(path): \(key) is \(found); supported is \(supported)"
    case .stepCount(let count, let path, let problem):
      "\(path): \(count) \(count == 1 ? "step" : "steps"): \(problem)"
    case .eta(let eta): "eta is \(eta), but must be between 0 and 1"
    }
  }
}
