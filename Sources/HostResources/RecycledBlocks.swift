/// The reuse of memory blocks and its accounting: the policy of all pools, whatever a block is.
///
/// One whose blocks are nothing counts what another would hold.
public struct RecycledBlocks<Memory> {
  /// Free blocks beyond this many bytes are not kept.
  public let freeByteLimit: Int
  private var free: [Int: [Memory]] = [:]
  public private(set) var freeBytes = 0
  /// The bytes that are in use.
  public private(set) var usedBytes = 0
  /// The peak of those.
  public private(set) var peakBytes = 0
  /// The peak of bytes in use or cached.
  public private(set) var heldPeakBytes = 0

  public init(freeByteLimit: Int) { self.freeByteLimit = freeByteLimit }

  /// Takes a block of at least `byteCount` bytes.
  ///
  /// - Returns: a free block's memory and size; without a suitable one nil, and the size of the block to allocate
  public mutating func take(_ byteCount: Int) -> (memory: Memory?, byteCount: Int) {
    let size = Self.blockSize(holding: byteCount)
    let found = takeFree(from: size, upTo: 2 * size)
    let taken = found?.byteCount ?? size
    if found != nil { freeBytes -= taken }
    usedBytes += taken
    peakBytes = max(peakBytes, usedBytes)
    heldPeakBytes = max(heldPeakBytes, usedBytes + freeBytes)
    return (found?.memory, taken)
  }

  /// The smallest free block between two sizes.
  ///
  /// Larger ones are taken, too: batches of changing sizes would otherwise each leave blocks of their own.
  private mutating func takeFree(
    from size: Int, upTo limit: Int
  ) -> (memory: Memory, byteCount: Int)? {
    var size = size
    while size <= limit {
      if let memory = free[size]?.popLast() { return (memory, size) }
      size = Self.blockSize(holding: size + 1)
    }
    return nil
  }

  /// Takes a block back.
  ///
  /// - Returns: whether it is kept
  public mutating func giveBack(_ memory: Memory, byteCount: Int) -> Bool {
    usedBytes -= byteCount
    guard freeBytes + byteCount <= freeByteLimit else { return false }
    free[byteCount, default: []].append(memory)
    freeBytes += byteCount
    return true
  }

  /// Counts a block as not taken: it could not be made.
  public mutating func cancelTake(byteCount: Int) { usedBytes -= byteCount }

  /// Forgets the free blocks, and returns them.
  public mutating func removeFree() -> [Memory] {
    defer {
      free = [:]
      freeBytes = 0
    }
    return free.values.flatMap { $0 }
  }

  /// Resets the peaks.
  public mutating func resetPeaks() {
    peakBytes = usedBytes
    heldPeakBytes = usedBytes + freeBytes
  }

  /// The next of eight sizes between one power of two and the next: at most 1/8 is wasted.
  private static func blockSize(holding byteCount: Int) -> Int {
    guard byteCount > 256 else { return 256 }
    let powerOfTwo = 1 << (Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount)
    let step = powerOfTwo / 8
    return (byteCount + step - 1) / step * step
  }
}
