/// The work that remains for a stage, determined before anything is done.
public struct WorkPlan<Work: StageWork> {
  /// The remaining items, in a stable order: after a crash, those that are left.
  public let items: [Work.Item]
  /// Units already done, to which those of the items are added.
  let finishedUnitCount: Int
  let unitCount: (Work.Item) -> Int
  /// The division of items into parts and the transfer of outputs; nil: they cannot be divided.
  let division: (any Division<Work.Item, Work.Output>)?
  /// Prepares the work.
  let begin: () throws -> Work

  /// - Parameters:
  ///   - unitCount: the number of units per item; one by default
  ///   - begin: prepares to process, commit and finish, in a run that has something to do; a part,
  ///     which only processes, writes nothing
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

/// A stage at work: it holds what processing needs, and owns the state that changes.
public protocol StageWork<Item, Output>: AnyObject {
  associatedtype Item
  associatedtype Output

  /// Computes the result of one item. A thrown ``Rejection`` loses this item only.
  func process(_ item: Item) throws -> Output

  /// Records one result, all or nothing.
  func commit(_ output: Output, of item: Item) throws

  /// Records that an item was rejected, so that it no longer remains.
  func reject(_ item: Item, because rejection: Rejection) throws

  /// Runs `body`, which commits several times, at a lower cost than individual commits.
  func together(_ body: () throws -> Void) throws

  /// Writes what belongs to the whole stage, once no items remain, and closes files before they are
  /// moved. Must be repeatable by another work.
  func finish() throws -> WorkSummary
}

extension StageWork {
  public func reject(_ item: Item, because rejection: Rejection) throws { throw rejection }
  public func together(_ body: () throws -> Void) throws { try body() }
  public func finish() throws -> WorkSummary { WorkSummary() }
}

/// Facts about a result that are known when its work is finished.
public struct WorkSummary {
  /// The number of items, or parts of them, rejected over all runs, by code.
  let rejections: [String: Int]
  /// Digests that ``Stage/contentDigest(of:)`` would return, if the work knows them.
  let contentDigests: [Artifact: String]

  public init(rejections: [String: Int] = [:], contentDigests: [Artifact: String] = [:]) {
    (self.rejections, self.contentDigests) = (rejections, contentDigests)
  }
}

/// A lazily created value.
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

  /// The value, if it has been created.
  public var ifMade: Value? { value }

  /// Releases the value; it is created again on the next access.
  public func release() { value = nil }
}
