public import Files
public import StageSupport

/// What a machine has, and the device that computes.
public struct MachineLimits: Sendable {
  /// Bytes that a run may take.
  public var memory: Int
  /// What limits the memory.
  public var memorySource: MemoryLimit.Source
  /// Bytes that are free where the workspace is; nil if the system does not tell.
  public var freeDisk: Int?
  /// Nil: the CPU.
  public var device: PlannedDevice?

  public init(
    memory: Int, memorySource: MemoryLimit.Source = .machine, freeDisk: Int?,
    device: PlannedDevice? = nil
  ) {
    self.memory = memory
    self.memorySource = memorySource
    self.freeDisk = freeDisk
    self.device = device
  }

  /// This machine's and this process's; a tenth of the memory is left to the system.
  ///
  /// - Parameter path: of the workspace, which need not be there yet
  public static func here(_ path: String, device: PlannedDevice? = nil) -> MachineLimits {
    let limit = MemoryLimit.current
    return MachineLimits(
      memory: limit.byteCount / 10 * 9, memorySource: limit.source,
      freeDisk: DiskSpace.free(at: path), device: device)
  }

  private var memoryLimit: MemoryLimit { MemoryLimit(byteCount: memory, source: memorySource) }

  /// What a stage needs of these.
  func need(of plan: StagePlan) -> MemoryNeed {
    var need = plan.memory
    if device?.sharesMemory ?? false { need.takeDeviceParts() }
    return need
  }

  /// A memory that is too small for a stage.
  struct Shortage {
    let isOnDevice: Bool
    /// As in `spo needs about 8 GB on cuda:0`.
    let place: String
    /// As in `but the machine has only 4 GB`.
    let description: String
    /// Bytes that there are.
    let limit: Int
    let byteCount: (MemoryNeed) -> Int
    let parts: (MemoryNeed) -> [MemoryNeed.Part]
    /// Of what would help beside other settings.
    let remedy: (_ needed: Int) -> String
  }

  /// Nil if there is enough.
  func shortage(for need: MemoryNeed) -> Shortage? {
    if need.byteCount > memory {
      return Shortage(
        isOnDevice: false, place: "",
        description: "the machine has only \(ByteCount.text(memory))\(memoryLimit.note)",
        limit: memory,
        byteCount: \.byteCount, parts: \.parts,
        remedy: { memoryLimit.remedy(for: $0 / 9 * 10) })
    }
    guard let device, need.deviceByteCount > device.byteCount else { return nil }
    return Shortage(
      isOnDevice: true, place: " on \(device.name)",
      description: "it has only \(ByteCount.text(device.byteCount))", limit: device.byteCount,
      byteCount: \.deviceByteCount, parts: \.deviceParts,
      // A hundredth more than a tenth, as the text is rounded.
      remedy: { "use a device with \(ByteCount.text($0 / 89 * 100)) or more" })
  }
}
