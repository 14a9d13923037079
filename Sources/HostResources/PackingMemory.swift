import COpenBLAS
import Files
import Glibc
import Synchronization

/// The memory that OpenBLAS copies parts of both factors into: a piece for each thread that is in a call.
///
/// Its kernels prefetch what follows the copied parts. Where nothing was ever written there, each of these
/// prefetches searches the page tables in vain, and under virtualisation products of small factors take
/// up to four times as long. One large product in each piece ends that.
package enum PackingMemory {
  /// Reading this fills it, once.
  package static let isFilled: Bool = {
    let threads = Threads.count
    let arrived = Counter()
    let (rows, side) = (64, 1024)
    // Zeros of the system that are only read take no memory.
    let count = (rows + side) * side
    guard let zeros = calloc(count, MemoryLayout<Float>.stride) else {
      exitForLackOfMemory(count * MemoryLayout<Float>.stride, for: "matrix products")
    }
    defer { free(zeros) }
    let factors = zeros.bindMemory(to: Float.self, capacity: count)
    parallelItems(threads) { _ in
      let product = HostMemory(count: rows * side)
      arrived.value.add(1, ordering: .relaxed)
      // Only calls at the same time are in different pieces.
      let clock = ContinuousClock()
      let deadline = clock.now + .milliseconds(20)
      while arrived.value.load(ordering: .relaxed) < threads, clock.now < deadline {}
      during {
        cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(rows), blasint(side), blasint(side), 1,
          factors, blasint(side), factors + rows * side, blasint(side), 0, product.pointer,
          blasint(side))
      }
    }
    return true
  }()

  /// Runs a call of OpenBLAS.
  package static func during(_ call: () -> Void) {
    guard takesTurns else { return call() }
    turn.withLock { _ in call() }
  }

  /// Whether calls wait for each other, so that one piece is enough.
  ///
  /// If an allocation fails, OpenBLAS retries forever. So under a shell limit the system is asked
  /// here, before the first call: for a block for each thread, in the team and outside it, and one
  /// for OpenBLAS's own thread, which takes what it can get.
  private static let takesTurns: Bool = {
    guard MemoryLimit.isShellLimited else { return false }
    if canMap(2 * Threads.count + 1) { return false }
    guard canMap(2) else {
      exitForLackOfMemory(2 * pieceByteCount, for: "matrix products")
    }
    return true
  }()

  private static let turn = Mutex(())
  /// The memory that OpenBLAS 0.3 maps for one call on 64-bit processors.
  private static let pieceByteCount = 128 << 20

  private static func canMap(_ pieceCount: Int) -> Bool {
    let byteCount = pieceCount * pieceByteCount
    let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard memory != MAP_FAILED else { return false }
    munmap(memory, byteCount)
    return true
  }

  private final class Counter: Sendable {
    let value = Atomic(0)
  }
}
