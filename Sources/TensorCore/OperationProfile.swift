import Synchronization

/// Where time goes: the cost of every kernel that runs inside `record`, by its name and size.
///
/// It belongs to whoever asks for it. Without one, a kernel looks up a task-local value and does no
/// more.
public final class OperationProfile: Sendable {
  public struct Operation: Hashable, Sendable {
    public let name: String
    /// The extents that its cost depends on; empty where the number of elements says it all.
    public let size: String
  }

  public struct Cost: Sendable {
    public fileprivate(set) var calls = 0
    public fileprivate(set) var seconds = 0.0
    /// What the textbook's algorithm needs, a multiplication and an addition counting as two; 0 where
    /// memory is what limits.
    public fileprivate(set) var flop = 0
  }

  private struct State {
    var costs: [Operation: Cost] = [:]
    /// Kernels that a kernel calls are part of it.
    var isInside = false
  }

  @TaskLocal fileprivate static var current: OperationProfile?
  private let state = Mutex(State())

  public init() {}

  /// Runs `body`, adding up what kernels called on this thread cost.
  public func record<Result>(_ body: () throws -> Result) rethrows -> Result {
    try Self.$current.withValue(self, operation: body)
  }

  public var costs: [Operation: Cost] { state.withLock { $0.costs } }

  fileprivate func measure(
    _ name: String, _ size: () -> String, flop: Int, _ body: () -> Void
  ) {
    let isOutermost = state.withLock { state in
      defer { state.isInside = true }
      return !state.isInside
    }
    guard isOutermost else { return body() }
    let duration = ContinuousClock().measure(body)
    let operation = Operation(name: name, size: size())
    state.withLock { state in
      state.isInside = false
      state.costs[operation, default: Cost()].calls += 1
      state.costs[operation, default: Cost()].seconds += duration / .seconds(1)
      state.costs[operation, default: Cost()].flop += flop
    }
  }
}

/// Runs a kernel, on the clock if a profile is recorded.
@inline(__always)
func profiled(
  _ name: String, _ size: @autoclosure () -> String = "", flop: @autoclosure () -> Int = 0,
  _ body: () -> Void
) {
  guard let profile = OperationProfile.current else { return body() }
  profile.measure(name, size, flop: flop(), body)
}
