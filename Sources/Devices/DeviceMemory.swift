import HostResources
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
  private let device: any Device
  /// What is free goes back only where the device is short of memory.
  private let blocks = Mutex(RecycledBlocks<DeviceBuffer>(freeByteLimit: .max))

  init(_ device: any Device) { self.device = device }

  /// The most bytes that were in use at once.
  var peakBytes: Int { blocks.withLock { $0.peakBytes } }

  func take(byteCount: Int) throws(DeviceError) -> DeviceBuffer {
    let (recycled, size) = blocks.withLock { $0.take(byteCount) }
    if let recycled { return recycled }
    do {
      return try allocate(size)
    } catch {
      blocks.withLock { $0.cancelTake(byteCount: size) }
      throw error
    }
  }

  /// Returns every free block to the device.
  func releaseFreeBlocks() throws(DeviceError) {
    try device.finish()
    for block in blocks.withLock({ $0.removeFree() }) { device.release(block) }
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
    let isKept = blocks.withLock { $0.giveBack(block, byteCount: block.byteCount) }
    if !isKept { device.release(block) }
  }
}
