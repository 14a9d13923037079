import Files

/// A device that OpenCL knows, before anything is done with it.
struct OpenCLDeviceIdentity: Sendable {
  /// Among all devices of all platforms, GPUs first, then in the order in which OpenCL names them.
  private(set) var index = 0
  let device: OpenCLLibrary.Handle
  let description: DeviceDescription
  let largestBuffer: Int
  /// Why it cannot be used; nil if it can.
  let flaw: String?

  /// All devices, those of processors included.
  static func all(_ library: OpenCLLibrary) -> [OpenCLDeviceIdentity] {
    var found = handles { library.getPlatformIDs($0, $1, $2) }
      .flatMap { platform in
        handles { library.getDeviceIDs(platform, OpenCLCode.allTypes, $0, $1, $2) }
      }
      .map { OpenCLDeviceIdentity($0, library) }
    found =
      found.filter { !$0.description.isProcessor } + found.filter { $0.description.isProcessor }
    for index in found.indices { found[index].index = index }
    return found
  }

  private init(_ device: OpenCLLibrary.Handle, _ library: OpenCLLibrary) {
    self.device = device
    func words(_ key: UInt32) -> String {
      text { library.getDeviceInfo(device, key, $0, $1, $2) }?.printable ?? "unknown"
    }
    func number(_ key: UInt32) -> Int {
      // Of 4 or 8 bytes, lowest first.
      var value: UInt64 = 0
      guard library.getDeviceInfo(device, key, 8, &value, nil) == 0 else { return 0 }
      return Int(clamping: value)
    }
    let product = words(OpenCLCode.deviceName)
    let isProcessor = UInt64(number(OpenCLCode.deviceType)) & OpenCLCode.processorType != 0
    let version = words(OpenCLCode.deviceVersion)
    description = DeviceDescription(
      product: product, driver: words(OpenCLCode.driverVersion), compiler: version,
      byteCount: number(OpenCLCode.globalMemory), isProcessor: isProcessor,
      peakRate: nil)
    largestBuffer = number(OpenCLCode.largestBuffer)
    let localBytes = number(OpenCLCode.localMemory)
    let groupSize = number(OpenCLCode.largestGroup)
    flaw =
      if version.namesPoCL, !product.hasPrefix("basic") {
        "PoCL gives wrong results on several threads; set POCL_DEVICES=basic in the environment"
      } else if localBytes < Self.neededLocalBytes {
        "it has \(ByteCount.text(localBytes)) of local memory, "
          + "\(ByteCount.text(Self.neededLocalBytes)) are needed"
      } else if groupSize < KernelSource.groupSize {
        "its work groups have at most \(groupSize) work items, \(KernelSource.groupSize) are needed"
      } else {
        nil
      }
  }

  /// What attention takes for heads of 160.
  private static let neededLocalBytes = 40 << 10
}

extension String {
  /// Whether a device's version names PoCL.
  fileprivate var namesPoCL: Bool { contains("pocl") || contains("PoCL") }
}

/// A list of handles, asked for its length first; empty if there is none.
private func handles(
  _ query: (
    UInt32, UnsafeMutablePointer<OpenCLLibrary.Handle>?, UnsafeMutablePointer<UInt32>?
  ) -> Int32
) -> [OpenCLLibrary.Handle] {
  var count: UInt32 = 0
  guard query(0, nil, &count) == 0, count > 0 else { return [] }
  var handles = [OpenCLLibrary.Handle](repeating: 0, count: Int(count))
  guard query(count, &handles, nil) == 0 else { return [] }
  return handles
}
