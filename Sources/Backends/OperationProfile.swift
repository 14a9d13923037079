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
  private let state = Mutex<[Kind: Cost]>([:])

  public init() {}

  /// Runs `body`, adding up what operations of this task cost.
  public func record<Result>(_ body: () throws -> Result) rethrows -> Result {
    try Self.$current.withValue(self, operation: body)
  }

  /// Whether what this task does is recorded: a backend that queues operations then waits for each.
  package static var isRecording: Bool { current != nil }

  public var costs: [Kind: Cost] { state.withLock { $0 } }

  /// Runs `body`, which performs `operation`, on the clock if a profile is recorded.
  package static func measure(_ operation: Operation, _ body: () -> Void) {
    guard let profile = current else { return body() }
    let duration = ContinuousClock().measure(body)
    profile.add(operation.cost, seconds: duration / .seconds(1))
  }

  /// Adds one operation; a backend that computes nothing says 0 seconds.
  func add(_ cost: OperationCost, seconds: Double) {
    let kind = Kind(name: cost.name, size: cost.size)
    state.withLock { costs in
      var sum = costs[kind, default: Cost()]
      sum.calls += 1
      sum.seconds += seconds
      sum.flop += cost.flop
      sum.byteCount += cost.byteCount
      costs[kind] = sum
    }
  }
}
