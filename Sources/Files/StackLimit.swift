import Glibc

/// What the system allows a process for its stack: with too little it ends by a signal, wherever it is.
public enum StackLimit {
  /// Enough for all that this program does: measured, with as much again.
  private static let least = 512 << 10

  /// - Throws: ``TooLow``
  public static func require() throws(TooLow) {
    let resource = __rlimit_resource_t(RLIMIT_STACK.rawValue)
    var limits = rlimit()
    // No limit is the largest number.
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
