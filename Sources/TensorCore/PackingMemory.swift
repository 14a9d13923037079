import COpenBLAS
import Synchronization

/// The memory that OpenBLAS copies parts of both factors into: a piece for each thread that is in a call.
///
/// Its kernels prefetch what follows the copied parts. Where nothing was ever written there, each of these
/// prefetches searches the page tables in vain, and under virtualisation products of small factors take
/// up to four times as long. One large product in each piece ends that.
enum PackingMemory {
  /// Reading this fills it, once.
  static let isFilled: Bool = {
    let threads = Threads.count
    let arrived = Counter()
    let (rows, side) = (64, 1024)
    let factors = Storage(count: (rows + side) * side)
    factors.pointer.update(repeating: 0, count: (rows + side) * side)
    parallelItems(threads) { _ in
      let product = Storage(count: rows * side)
      arrived.value.add(1, ordering: .relaxed)
      // Only calls at the same time are in different pieces.
      let clock = ContinuousClock()
      let deadline = clock.now + .milliseconds(20)
      while arrived.value.load(ordering: .relaxed) < threads, clock.now < deadline {}
      cblas_sgemm(
        CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(rows), blasint(side), blasint(side), 1,
        factors.pointer, blasint(side), factors.pointer + rows * side, blasint(side), 0,
        product.pointer, blasint(side))
    }
    return true
  }()

  private final class Counter: Sendable {
    let value = Atomic(0)
  }
}
