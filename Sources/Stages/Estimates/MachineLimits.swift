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

  /// What a stage needs of these.
  func need(of plan: StagePlan) -> MemoryNeed {
    var need = plan.memory
    need.sharesMemory = device?.sharesMemory ?? false
    return need
  }

  func byteCount(in place: MemoryPlace) -> Int {
    place == .machine ? memory : device?.byteCount ?? .max
  }

  /// Where there is less memory than a stage needs; nil: nowhere.
  func shortage(for need: MemoryNeed) -> MemoryPlace? {
    [.machine, .device].first { need.byteCount(in: $0) > byteCount(in: $0) }
  }

  /// As in `spo needs about 8 GB on cuda:0, but it has only 7 GB`.
  func refusal(of needed: Int, in place: MemoryPlace) -> (need: String, limit: String) {
    let (needed, limit) = (ByteCount.text(needed), ByteCount.text(byteCount(in: place)))
    return switch place {
    case .machine: (needed, "but the machine has only \(limit)\(memoryLimit.note)")
    case .device: ("\(needed) on \(device?.name ?? "")", "but it has only \(limit)")
    }
  }

  /// What helps beside other settings.
  func remedy(for needed: Int, in place: MemoryPlace) -> String {
    switch place {
    case .machine: memoryLimit.remedy(for: needed / 9 * 10)
    // A hundredth more than a tenth, as the text is rounded.
    case .device: "use a device with \(ByteCount.text(needed / 89 * 100)) or more"
    }
  }

  private var memoryLimit: MemoryLimit { MemoryLimit(byteCount: memory, source: memorySource) }
}
