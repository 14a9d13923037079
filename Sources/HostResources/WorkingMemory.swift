/// The memory that a kernel takes from the pool while it runs, from which plans are made.
public struct WorkingMemory {
  /// The numbers of blocks that are held from beginning to end.
  public var held: [Int]
  /// Further memory taken meanwhile, one after the other.
  public var then: [WorkingMemory]

  package init(_ held: [Int] = [], then: [WorkingMemory] = []) {
    self.held = held
    self.then = then
  }

  /// Blocks of as many threads as `items` keep busy, each with its own.
  package static func ofThreads(_ items: Int, _ counts: [Int]) -> WorkingMemory {
    WorkingMemory([[Int]](repeating: counts, count: min(items, Threads.count)).flatMap { $0 })
  }
}
