import Foundation

/// Returns the ratio of `body`'s times for the large and the small input.
///
/// Only the time during which the processor runs the calling thread is counted, and of several attempts
/// the shortest, so that what else the machine does matters little.
public func growth<Input>(
  from small: Input, to large: Input, attempts: Int = 5, _ body: (Input) throws -> Void
) rethrows -> Double {
  func shortest(_ input: Input) throws -> Double {
    try (0..<attempts).map { _ in
      let start = threadTime()
      try body(input)
      return threadTime() - start
    }.min() ?? 0
  }
  let time = try shortest(small)
  return try shortest(large) / max(time, 1e-6)
}

/// The seconds that the processor has spent on the calling thread.
private func threadTime() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
