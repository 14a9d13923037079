/// What is left of a stage, found out before anything is done.
public struct WorkPlan<Work: StageWork> {
  /// Items not yet done, in a stable order: after a crash, those that are left.
  public let items: [Work.Item]
  /// Units that are done already, to which those of the items are added.
  let finishedUnitCount: Int
  let unitCount: (Work.Item) -> Int
  /// How parts divide the items and hand on what they make; nil: they cannot.
  let division: (any Division<Work.Item, Work.Output>)?
  /// Makes ready to work.
  let begin: () throws -> Work

  /// - Parameters:
  ///   - unitCount: how many units an item counts for; one if not given
  ///   - begin: makes ready to process, commit and finish, in a run that has something to do; a part, which only
  ///     processes, writes nothing
  public init(
    _ items: [Work.Item], finishedUnitCount: Int = 0,
    unitCount: @escaping (Work.Item) -> Int = { _ in 1 },
    division: (any Division<Work.Item, Work.Output>)? = nil, begin: @escaping () throws -> Work
  ) {
    self.items = items
    self.finishedUnitCount = finishedUnitCount
    self.unitCount = unitCount
    self.division = division
    self.begin = begin
  }

  func unitCount(of items: some Sequence<Work.Item>) -> Int {
    items.reduce(0) { $0 + unitCount($1) }
  }
}

/// A stage at work: it has what it needs to process items, and owns what changes on the way.
public protocol StageWork<Item, Output>: AnyObject {
  associatedtype Item
  associatedtype Output

  /// Computes the result of one item. A thrown ``Rejection`` loses this item only.
  func process(_ item: Item) throws -> Output

  /// Records one result, all or nothing.
  func commit(_ output: Output, of item: Item) throws

  /// Records that an item was rejected, so that it is left no more.
  func reject(_ item: Item, because rejection: Rejection) throws

  /// Runs `body`, which commits, so that it costs less than its commits one by one.
  func together(_ body: () throws -> Void) throws

  /// Writes what belongs to the whole stage, when no item is left, and closes what must not be open when it is
  /// moved. Must be repeatable, by another work.
  func finish() throws -> WorkSummary
}

extension StageWork {
  public func reject(_ item: Item, because rejection: Rejection) throws { throw rejection }
  public func together(_ body: () throws -> Void) throws { try body() }
  public func finish() throws -> WorkSummary { WorkSummary() }
}

/// What is known of a result when the work is finished.
public struct WorkSummary {
  /// How many items, or parts of them, were rejected in all runs, by code.
  let rejections: [String: Int]
  /// What ``Stage/contentDigest(of:)`` would find, where the work knows it.
  let contentDigests: [Artifact: String]

  public init(rejections: [String: Int] = [:], contentDigests: [Artifact: String] = [:]) {
    (self.rejections, self.contentDigests) = (rejections, contentDigests)
  }
}

/// A value that is made when it is first asked for.
public final class Deferred<Value> {
  private let make: () throws -> Value
  private var value: Value?

  public init(_ make: @escaping () throws -> Value) { self.make = make }

  public func callAsFunction() throws -> Value {
    if let value { return value }
    let made = try make()
    value = made
    return made
  }

  /// The value, if it was asked for.
  public var ifMade: Value? { value }

  /// Lets go of the value; it is made anew if it is asked for again.
  public func release() { value = nil }
}
