import COpenBLAS
import Files
import Glibc
import Synchronization

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

/// Blocks of so many bytes begin with a huge page; smaller ones may share one.
private let largeBlockSize = 2 * hugePageSize

/// Makes the allocator request large chunks, so that small blocks are adjacent and share huge
/// pages.
///
/// This changes `malloc` for the whole process, so it is the program's choice, made before it computes.
public func keepSmallBlocksTogether() { spo_keep_blocks_together(largeBlockSize) }

/// Memory for numbers, aligned to 64 bytes at least: of huge pages unless it is small.
///
/// Kernels read many rows that lie far apart, each from a page of its own, and look them up faster if
/// these are few; so do small models, whose tensors are many. Where the system refuses, blocks that wait to be used
/// again go back to it first; then the process ends, see `exitForLackOfMemory`. To be freed with `free`.
func allocateTensorMemory(byteCount: Int) -> UnsafeMutableRawPointer {
  let alignment = byteCount >= largeBlockSize ? hugePageSize : 64
  func allocated() -> UnsafeMutableRawPointer? {
    var memory: UnsafeMutableRawPointer?
    return posix_memalign(&memory, alignment, byteCount) == 0 ? memory : nil
  }
  var memory = allocated()
  if memory == nil {
    BufferPool.shared.releaseFreeBlocks()
    memory = allocated()
  }
  guard let memory else { exitForLackOfMemory(byteCount, for: "a tensor") }
  if byteCount >= hugePageSize / 32 { spo_prefer_huge_pages(memory, byteCount) }
  return memory
}

/// Recycles blocks, so that a steady state allocates nothing and faults no pages.
public final class BufferPool: Sendable {
  struct Block: @unchecked Sendable {
    let address: UnsafeMutableRawPointer
    let byteCount: Int
  }

  public static let shared = BufferPool()
  /// Free blocks beyond this many bytes go back to the system: an eighth of what the process may have.
  ///
  /// A training step of 512 x 512 pixels frees 2.2 GB. Getting them back costs 3 % of its time.
  public static let freeByteLimit = min(MemoryLimit.current.byteCount / 8, 4 << 30)
  private let blocks = Mutex(RecycledBlocks<Block>(freeByteLimit: freeByteLimit))

  /// The peak of bytes in use or cached for reuse, since free blocks were last released.
  public var heldPeakBytes: Int { blocks.withLock { $0.heldPeakBytes } }

  /// The bytes that are in use.
  public var usedBytes: Int { blocks.withLock { $0.usedBytes } }

  /// Returns every free block to the system, and resets the peaks.
  public func releaseFreeBlocks() {
    let unused = blocks.withLock { blocks in
      defer { blocks.resetPeaks() }
      return blocks.removeFree()
    }
    for block in unused { free(block.address) }
    spo_return_freed_memory()
  }

  func take(byteCount: Int) -> Block {
    let (block, size) = blocks.withLock { $0.take(byteCount) }
    return block ?? Block(address: allocateTensorMemory(byteCount: size), byteCount: size)
  }

  func giveBack(_ block: Block) {
    let isKept = blocks.withLock { $0.giveBack(block, byteCount: block.byteCount) }
    if !isKept { free(block.address) }
  }
}
