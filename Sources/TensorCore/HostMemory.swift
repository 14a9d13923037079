import COpenBLAS
import Files
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Floats in memory that is recycled when the last reference goes.
///
/// Aligned to 64 bytes; the contents are undefined until written.
public final class HostMemory {
  public let count: Int
  public let pointer: UnsafeMutablePointer<Float>
  private let block: BufferPool.Block

  public init(count: Int) {
    self.count = count
    block = BufferPool.shared.take(byteCount: max(1, count) * MemoryLayout<Float>.stride)
    pointer = block.address.assumingMemoryBound(to: Float.self)
  }

  deinit { BufferPool.shared.giveBack(block) }
}

/// The size of a huge page of x86-64, and of arm64 with pages of 4 KB.
private let hugePageSize = 2 << 20

/// Memory for numbers, aligned to 64 bytes at least: of huge pages if it is large.
///
/// Kernels read many rows that lie far apart, each from a page of its own, and look them up faster if
/// these are few. Where the system refuses, blocks that wait to be used again go back to it first; then
/// the process ends, see `exitForLackOfMemory`. To be freed with `free`.
func allocateTensorMemory(byteCount: Int) -> UnsafeMutableRawPointer {
  let isLarge = byteCount >= 2 * hugePageSize
  func allocated() -> UnsafeMutableRawPointer? {
    var memory: UnsafeMutableRawPointer?
    return posix_memalign(&memory, isLarge ? hugePageSize : 64, byteCount) == 0 ? memory : nil
  }
  var memory = allocated()
  if memory == nil {
    BufferPool.shared.releaseFreeBlocks()
    memory = allocated()
  }
  guard let memory else { exitForLackOfMemory(byteCount, for: "a tensor") }
  if isLarge { spo_prefer_huge_pages(memory, byteCount) }
  return memory
}

/// Recycles large blocks, so that a steady state allocates nothing and faults no pages.
public final class BufferPool: Sendable {
  struct Block: @unchecked Sendable {
    let address: UnsafeMutableRawPointer
    let byteCount: Int
  }

  private struct State {
    var free: [Int: [Block]] = [:]
    var freeBytes = 0
    var usedBytes = 0
    var peakBytes = 0

    /// The smallest free block between two sizes.
    ///
    /// Larger ones are taken, too: batches of changing sizes would otherwise each leave blocks of their own.
    mutating func takeFree(from size: Int, upTo limit: Int) -> Block? {
      var size = size
      while size <= limit {
        if let block = free[size]?.popLast() { return block }
        size = BufferPool.blockSize(holding: size + 1)
      }
      return nil
    }
  }

  public static let shared = BufferPool()
  /// Free blocks beyond this many bytes go back to the system: an eighth of what the process may have.
  ///
  /// A training step of 512 x 512 pixels frees 2.2 GB. Getting them back costs 3 % of its time.
  public static let freeByteLimit = min(MemoryLimit.current.byteCount / 8, 4 << 30)
  private let state = Mutex(State())

  /// The most bytes that were in use at once.
  public var peakBytes: Int { state.withLock { $0.peakBytes } }

  /// The bytes that are in use.
  public var usedBytes: Int { state.withLock { $0.usedBytes } }

  /// Returns every free block to the system.
  public func releaseFreeBlocks() {
    let blocks = state.withLock { state in
      defer {
        state.free = [:]
        state.freeBytes = 0
      }
      return state.free.values.flatMap { $0 }
    }
    for block in blocks { free(block.address) }
    spo_return_freed_memory()
  }

  func take(byteCount: Int) -> Block {
    let size = Self.blockSize(holding: byteCount)
    let recycled: Block? = state.withLock { state in
      let block = state.takeFree(from: size, upTo: 2 * size)
      state.freeBytes -= block?.byteCount ?? 0
      state.usedBytes += block?.byteCount ?? size
      state.peakBytes = max(state.peakBytes, state.usedBytes)
      return block
    }
    if let recycled { return recycled }
    return Block(address: allocateTensorMemory(byteCount: size), byteCount: size)
  }

  func giveBack(_ block: Block) {
    let isKept = state.withLock { state in
      state.usedBytes -= block.byteCount
      guard state.freeBytes + block.byteCount <= Self.freeByteLimit else { return false }
      state.free[block.byteCount, default: []].append(block)
      state.freeBytes += block.byteCount
      return true
    }
    if !isKept { free(block.address) }
  }

  /// The next of eight sizes between one power of two and the next: at most 1/8 is wasted.
  private static func blockSize(holding byteCount: Int) -> Int {
    guard byteCount > 256 else { return 256 }
    let powerOfTwo = 1 << (Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount)
    let step = powerOfTwo / 8
    return (byteCount + step - 1) / step * step
  }
}
