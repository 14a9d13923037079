import COpenBLAS
import Dispatch

/// The number of threads that the kernels use.
///
/// Work is split into parts by its size and this count alone, so results repeat for a given count.
/// OpenBLAS runs on the thread that calls it: its own threads would compete with these.
public enum Threads {
  /// The processors that the process may run on.
  private static let processorCount: Int = {
    openblas_set_num_threads(1)
    return max(1, Int(openblas_get_num_procs()))
  }()

  /// The number of threads, at least 1: of the processors, unless ``with(count:_:)`` says otherwise.
  @TaskLocal public static var count = processorCount

  /// Runs `body` with another number of threads.
  public static func with<Result>(count: Int, _ body: () throws -> Result) rethrows -> Result {
    try $count.withValue(max(1, count), operation: body)
  }

  /// A body that may run on threads that are part of no task, and know nothing of another number.
  fileprivate static func keepingCount(_ body: @escaping (Int) -> Void) -> (Int) -> Void {
    let count = count
    guard count != processorCount else { return body }
    return { index in with(count: count) { body(index) } }
  }
}

// Inlined into the kernels, which on one thread are then plain loops.

/// Splits `0..<count` into contiguous ranges of at least `grain` and runs `body` on each, in parallel.
///
/// There are at most `Threads.count` ranges; a single one runs on the caller's thread. The ranges must
/// not write to the same memory.
@inlinable
public func parallelRanges(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
  guard count > 0 else { return }
  let parts = min(Threads.count, max(1, count / max(1, grain)))
  guard parts > 1 else { return body(0..<count) }
  parallelItems(parts) { part in
    body(count * part / parts..<count * (part + 1) / parts)
  }
}

/// Runs `body` for every index of `0..<count`, in parallel, each thread taking the next index left.
///
/// For items of uneven cost. The items must not write to the same memory.
@inlinable
public func parallelItems(_ count: Int, _ body: (Int) -> Void) {
  guard count > 1, Threads.count > 1 else {
    for index in 0..<count { body(index) }
    return
  }
  shareItems(count, body)
}

/// Runs `body` for every index of `0..<count` on several threads.
@usableFromInline
func shareItems(_ count: Int, _ body: (Int) -> Void) {
  withoutActuallyEscaping(body) { escaping in
    // Kernels capture raw pointers, which are not Sendable; the callers keep the writes apart.
    nonisolated(unsafe) let body = Threads.keepingCount(escaping)
    if ThreadTeam.shared.run(count, threads: min(count, Threads.count), body) { return }
    // The team is busy with a loop of another thread, or with the one that this is part of.
    DispatchQueue.concurrentPerform(iterations: count) { body($0) }
  }
}

/// Splits `0..<count` into ranges worth a thread's while and runs `body` on each, in parallel.
///
/// - Parameter work: the multiplications of one index
@inlinable
package func parallelBlocks(_ count: Int, work: Int, _ body: (Range<Int>) -> Void) {
  let items = min(count, 8 * Threads.count, max(1, count * work / 30_000))
  parallelItems(items) { item in body(count * item / items..<count * (item + 1) / items) }
}
