import Glibc

/// The system's limit on the stack: with too little the process is killed by a signal at some
/// point.
public enum StackLimit {
  /// Twice the measured need of the whole program.
  private static let least = 512 << 10

  /// - Throws: ``TooLow``
  public static func require() throws(TooLow) {
    let resource = __rlimit_resource_t(RLIMIT_STACK.rawValue)
    var limits = rlimit()
    // The largest number means no limit.
    guard getrlimit(resource, &limits) == 0, let byteCount = Int(exactly: limits.rlim_cur),
      byteCount < least
    else { return }
    throw TooLow(byteCount: byteCount)
  }

  public struct TooLow: ClassifiedError, CustomStringConvertible {
    let byteCount: Int

    public var kind: FailureKind { .space }

    public var description: String {
      "the stack limit is \(byteCount >> 10) kB, but at least \(StackLimit.least >> 10) kB is needed: "
        + "ulimit -s 8192 is enough"
    }
  }
}
