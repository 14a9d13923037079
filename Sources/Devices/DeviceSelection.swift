/// Which of the devices of a machine a process takes: each of several that work together another one, as far as
/// there are enough.
public struct DeviceSelection {
  /// Of the kind that is meant: a processor's only where there is nothing else.
  let found: [Devices.Found]
  /// Those that can be used, in the order in which this process tries them.
  public let usable: [Devices.Found]

  /// Variables that show a process some of a machine's GPUs.
  private static let variables = [
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL", "ZE_AFFINITY_MASK",
  ]

  /// - Parameter localRank: this process's number among those that see the same devices
  public init(_ all: [Devices.Found], for localRank: Int) {
    found = all.filter { $0.description.isProcessor == all[0].description.isProcessor }
    let right = found.filter { $0.flaw == nil }
    let first = right.isEmpty ? 0 : localRank % right.count
    usable = Array(right[first...] + right[..<first])
  }

  /// Equal for processes of a machine that see the same devices.
  public static func visible(in environment: [String: String]) -> String {
    variables.map { environment[$0] ?? "-" }.joined(separator: " ")
  }

  /// The first device that can be opened and computes what the host does; nil: none.
  ///
  /// - Parameters:
  ///   - isAlone: whether no other process computes the same; if others do, on their devices, this one does
  ///     not turn to another kind
  ///   - open: throws if there is something wrong with a device
  ///   - passOver: what is done about one that is wrong, with the next one, nil where there is none
  /// - Throws: what is wrong with the first if this process is not alone, or if it is for now: a device that
  ///   others have filled is not given up for the host, which is a thousand times slower
  public func firstRight<Device>(
    isAlone: Bool, open: (Devices.Found) throws -> Device,
    passOver: (_ error: any Error, _ next: Devices.Found?) -> Void
  ) throws -> Device? {
    for (index, candidate) in usable.enumerated() {
      do {
        return try open(candidate)
      } catch  where isAlone && !Self.isForNow(error) {
        passOver(error, index + 1 < usable.count ? usable[index + 1] : nil)
      }
    }
    return nil
  }

  private static func isForNow(_ error: any Error) -> Bool {
    if case DeviceError.outOfMemory = error { true } else { false }
  }
}
