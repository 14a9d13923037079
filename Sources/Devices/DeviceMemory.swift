import Synchronization

/// Memory of a device that is recycled when the last reference goes.
///
/// As the queue is in order, a block may be used again while kernels that read it still wait: what is
/// asked for later runs later.
final class DeviceMemory {
  let buffer: DeviceBuffer
  private let pool: DeviceMemoryPool

  init(byteCount: Int, from pool: DeviceMemoryPool) throws(DeviceError) {
    self.pool = pool
    buffer = try pool.take(byteCount: byteCount)
  }

  deinit { pool.giveBack(buffer) }
}

/// Recycles a device's blocks, so that a steady state allocates nothing.
final class DeviceMemoryPool: Sendable {
  private struct State {
    var free: [Int: [DeviceBuffer]] = [:]
    var usedBytes = 0
    var peakBytes = 0

    /// The smallest free block between two sizes.
    mutating func takeFree(from size: Int, upTo limit: Int) -> DeviceBuffer? {
      var size = size
      while size <= limit {
        if let block = free[size]?.popLast() { return block }
        size = DeviceMemoryPool.blockSize(holding: size + 1)
      }
      return nil
    }
  }

  private let device: any Device
  private let state = Mutex(State())

  init(_ device: any Device) { self.device = device }

  /// The most bytes that were in use at once.
  var peakBytes: Int { state.withLock { $0.peakBytes } }

  func take(byteCount: Int) throws(DeviceError) -> DeviceBuffer {
    let size = Self.blockSize(holding: byteCount)
    let recycled = state.withLock { $0.takeFree(from: size, upTo: 2 * size) }
    let block = if let recycled { recycled } else { try allocate(size) }
    state.withLock { state in
      state.usedBytes += block.byteCount
      state.peakBytes = max(state.peakBytes, state.usedBytes)
    }
    return block
  }

  /// Returns every free block to the device.
  func releaseFreeBlocks() throws(DeviceError) {
    try device.finish()
    let blocks = state.withLock { state in
      defer { state.free = [:] }
      return state.free.values.flatMap { $0 }
    }
    for block in blocks { device.release(block) }
  }

  /// From the device, whose free blocks go back to it where that is short of memory.
  private func allocate(_ byteCount: Int) throws(DeviceError) -> DeviceBuffer {
    do {
      return try device.allocate(byteCount: byteCount)
    } catch .outOfMemory {
      try releaseFreeBlocks()
      return try device.allocate(byteCount: byteCount)
    }
  }

  func giveBack(_ block: DeviceBuffer) {
    state.withLock { state in
      state.usedBytes -= block.byteCount
      state.free[block.byteCount, default: []].append(block)
    }
  }

  /// The next of eight sizes between one power of two and the next: at most 1/8 is wasted.
  private static func blockSize(holding byteCount: Int) -> Int {
    guard byteCount > 256 else { return 256 }
    let powerOfTwo = 1 << (Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount)
    let step = powerOfTwo / 8
    return (byteCount + step - 1) / step * step
  }
}
