import Files

/// A GPU that the driver knows, before anything is done with it.
struct CUDADeviceIdentity: Sendable {
  let index: Int
  let device: Int32
  let description: DeviceDescription
  /// What code is compiled for, such as `sm_80`.
  let target: String
  let compiler: NVRTC?
  /// Whether it has instructions for products of TF32: since compute capability 8.0.
  let hasTensorCores: Bool

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
    let (major, minor) = (attribute(Self.majorCapability), attribute(Self.minorCapability))
    let target = "sm_\(major)\(minor)"
    self.target = target
    hasTensorCores = major >= 8
    var bytes = [CChar](repeating: 0, count: 256)
    let hasName = driver.getName(&bytes, Int32(bytes.count), device) == 0
    let name = String(
      decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    var byteCount = 0
    _ = driver.getMemory(&byteCount, device)
    // A second, in all multiprocessors.
    let clocks =
      Double(attribute(Self.multiprocessors)) * Double(attribute(Self.clockRate)) * 1e3
    description = DeviceDescription(
      product: hasName ? name.printable : "unknown",
      driver: "CUDA \(driver.version.major).\(driver.version.minor)",
      compiler: compiler.map { "NVRTC \($0.version.major).\($0.version.minor) for \(target)" }
        ?? "none: \(NVRTC.installation)",
      byteCount: byteCount, isProcessor: false,
      peakRate: clocks * Self.operationsPerClock(major, minor),
      tensorPeakRate: hasTensorCores ? clocks * Self.tensorOperationsPerClock(major, minor) : nil)
  }

  /// Of single precision in one multiprocessor, a multiplication and an addition counting as two.
  ///
  /// - Source: CUDA C++ programming guide, throughput of native arithmetic instructions
  private static func operationsPerClock(_ major: Int, _ minor: Int) -> Double {
    major < 8 || (major, minor) == (8, 0) ? 128 : 256
  }

  /// The same of TF32, without sparsity.
  ///
  /// - Source: NVIDIA's white papers on GA100, GA102, AD102, GH100 and Blackwell
  private static func tensorOperationsPerClock(_ major: Int, _ minor: Int) -> Double {
    switch (major, minor) {
    case (8, 0): 1_024
    case (9, _): 2_048
    case (10, _): 4_096
    default: 256
    }
  }

  // Numbers of CUDA's header, `CU_DEVICE_ATTRIBUTE_...`; the clock in kHz.
  private static let clockRate: Int32 = 13
  private static let multiprocessors: Int32 = 16
  private static let majorCapability: Int32 = 75
  private static let minorCapability: Int32 = 76
}
