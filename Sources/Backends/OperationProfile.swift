import Synchronization

/// Where time goes: the cost of every operation that a backend performs inside `record`, by its name and
/// size.
///
/// It belongs to whoever asks for it. Without one, an operation looks up a task-local value and does no
/// more.
public final class OperationProfile: Sendable {
  public struct Kind: Hashable, Sendable {
    public let name: String
    /// The extents that its cost depends on; empty where the number of elements says it all.
    public let size: String
  }

  public struct Cost: Sendable {
    public fileprivate(set) var calls = 0
    public fileprivate(set) var seconds = 0.0
    /// As ``OperationCost/flop``.
    public fileprivate(set) var flop = 0
    /// As ``OperationCost/byteCount``.
    public fileprivate(set) var byteCount = 0
  }

  @TaskLocal private static var current: OperationProfile?
  private struct State {
    var costs: [Kind: Cost] = [:]
    var work: [RateClass: Int] = [:]
  }

  private let state = Mutex(State())

  public init() {}

  /// Runs `body`, adding up what operations of this task cost.
  public func record<Result>(_ body: () throws -> Result) rethrows -> Result {
    try Self.$current.withValue(self, operation: body)
  }

  /// Whether what this task does is recorded: a backend that queues operations then waits for each.
  package static var isRecording: Bool { current != nil }

  public var costs: [Kind: Cost] { state.withLock { $0.costs } }

  /// Of each class as much as its time is in proportion to.
  var work: [RateClass: Int] { state.withLock { $0.work } }

  /// The floating-point operations of all.
  public var flop: Int { costs.values.reduce(0) { $0 + $1.flop } }

  /// Runs `body`, which performs `operation`, on the clock if a profile is recorded.
  package static func measure(_ operation: Operation, _ body: () -> Void) {
    guard let profile = current else { return body() }
    let duration = ContinuousClock().measure(body)
    profile.add(operation.cost, seconds: duration / .seconds(1))
  }

  /// Adds `operation`, which takes no time where nothing is computed.
  static func count(_ operation: Operation) { current?.add(operation.cost, seconds: 0) }

  private func add(_ cost: OperationCost, seconds: Double) {
    let kind = Kind(name: cost.name, size: cost.size)
    state.withLock { state in
      var sum = state.costs[kind, default: Cost()]
      sum.calls += 1
      sum.seconds += seconds
      sum.flop += cost.flop
      sum.byteCount += cost.byteCount
      state.costs[kind] = sum
      state.work[cost.rate, default: 0] += cost.work
    }
  }
}
