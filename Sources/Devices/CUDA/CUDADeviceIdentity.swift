import Files

/// A GPU that the driver knows, before anything is done with it.
struct CUDADeviceIdentity: Sendable {
  let index: Int
  let device: Int32
  let description: DeviceDescription
  /// What code is compiled for, such as `sm_80`.
  let target: String
  let compiler: NVRTC?

  static func all(_ driver: CUDADriver) -> [CUDADeviceIdentity] {
    var count: Int32 = 0
    guard driver.getDeviceCount(&count) == 0, count > 0 else { return [] }
    let compiler = NVRTC(forDriver: driver.version.major)
    return (0..<count).compactMap { CUDADeviceIdentity(Int($0), driver, compiler) }
  }

  private init?(_ index: Int, _ driver: CUDADriver, _ compiler: NVRTC?) {
    var device: Int32 = 0
    guard driver.getDevice(&device, Int32(index)) == 0 else { return nil }
    self.index = index
    self.device = device
    self.compiler = compiler
    func attribute(_ key: Int32) -> Int {
      var value: Int32 = 0
      return driver.getAttribute(&value, key, device) == 0 ? Int(value) : 0
    }
    let target = "sm_\(attribute(Self.majorCapability))\(attribute(Self.minorCapability))"
    self.target = target
    var bytes = [CChar](repeating: 0, count: 256)
    let hasName = driver.getName(&bytes, Int32(bytes.count), device) == 0
    let name = String(
      decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    var byteCount = 0
    _ = driver.getMemory(&byteCount, device)
    description = DeviceDescription(
      product: hasName ? name.printable : "unknown",
      driver: "CUDA \(driver.version.major).\(driver.version.minor)",
      compiler: compiler.map { "NVRTC \($0.version.major).\($0.version.minor) for \(target)" }
        ?? "none: \(NVRTC.installation)",
      byteCount: byteCount, isProcessor: false)
  }

  // `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `_MINOR`
  private static let majorCapability: Int32 = 75
  private static let minorCapability: Int32 = 76
}
