import Files

/// The devices of this machine.
public enum Devices {
  /// One that was found, usable or not.
  public struct Found: Sendable {
    /// As the setting `device` names it.
    public let name: String
    public let description: DeviceDescription
    /// Why it cannot be used, with what to do about it; nil if it can.
    public let flaw: String?

    package init(name: String, description: DeviceDescription, flaw: String?) {
      self.name = name
      self.description = description
      self.flaw = flaw
    }
  }

  /// All of them, those through CUDA first; none under `ulimit -v`, see ``automatic``.
  public static var all: [Found] {
    guard !MemoryLimit.isShellLimited else { return [] }
    return ["cuda", "opencl"].flatMap { all(through: $0) }
  }

  /// Those that are driven through `cuda` or `opencl`.
  private static func all(through kind: some StringProtocol) -> [Found] {
    kind == "cuda"
      ? CUDADriver.shared.map { all($0) } ?? [] : OpenCLLibrary.shared.map { all($0) } ?? []
  }

  private static func all(_ driver: CUDADriver) -> [Found] {
    CUDADeviceIdentity.all(driver).map {
      Found(
        name: "cuda:\($0.index)", description: $0.description,
        flaw: $0.compiler == nil ? "no compiler, libnvrtc; \(NVRTC.installation)" : nil)
    }
  }

  private static func all(_ library: OpenCLLibrary) -> [Found] {
    OpenCLDeviceIdentity.all(library).map {
      Found(name: "opencl:\($0.index)", description: $0.description, flaw: $0.flaw)
    }
  }

  /// The GPUs that the setting `auto` has the choice of, usable or not.
  ///
  /// Drivers are loaded only where there may be a GPU: they set aside more memory than `ulimit -v` allows, and
  /// some end the process where they do not get it.
  public static var automatic: [Found] {
    guard !MemoryLimit.isShellLimited else { return [] }
    let cuda = CUDADriver.shared.map { all($0) } ?? []
    guard OpenCLLibrary.mayHaveGPU, let openCL = OpenCLLibrary.shared else { return cuda }
    return cuda + all(openCL).filter { !$0.description.isProcessor }
  }

  /// What to install to have one, where none was found.
  public static let installation =
    "a GPU needs its driver, and one of NVIDIA's \(NVRTC.installation); OpenCL on a CPU, for tests, needs the "
    + "package pocl-opencl-icd"

  /// What is wrong with a driver that is installed; nil where nothing is.
  public static var brokenDriver: String? {
    guard !MemoryLimit.isShellLimited, case .notWorking(let reason)? = CUDADriver.absence else {
      return nil
    }
    return reason
  }

  /// The name of one device, where the setting may leave it open which.
  ///
  /// - Parameter localRank: this process's number among those that share the devices
  /// - Throws: ``DeviceError/notFound(_:)`` if there is none of this kind, or it cannot be used
  public static func name(of device: String, for localRank: Int) throws(DeviceError) -> String {
    guard !device.contains(":") else { return device }
    let choice = DeviceSelection(all(through: device), for: localRank)
    if let chosen = choice.usable.first { return chosen.name }
    guard let found = choice.found.first, let flaw = found.flaw else { throw absent(device) }
    throw .notFound("\(found.name): \(flaw)")
  }

  /// How many of a kind a process may get by ``name(of:for:)``.
  public static func count(of kind: String) -> Int {
    DeviceSelection(all(through: kind), for: 0).usable.count
  }

  /// The backend of a device.
  ///
  /// - Parameters:
  ///   - name: such as `cuda:0`
  ///   - precision: nil: TF32 where the device has tensor cores for it
  /// - Throws: ``DeviceError/notFound(_:)`` if there is no such device, or it cannot be used
  public static func open(
    _ name: String, precision: ProductPrecision? = nil
  ) throws(DeviceError) -> DeviceBackend {
    if let driver = CUDADriver.shared,
      let found = CUDADeviceIdentity.all(driver).first(where: { "cuda:\($0.index)" == name })
    {
      return DeviceBackend(try CUDADevice(found, driver), precision: precision)
    }
    if let library = OpenCLLibrary.shared,
      let found = OpenCLDeviceIdentity.all(library).first(where: { "opencl:\($0.index)" == name })
    {
      if let flaw = found.flaw { throw .notFound("\(name): \(flaw)") }
      return DeviceBackend(try OpenCLDevice(found, library), precision: precision)
    }
    throw absent(name)
  }

  /// Refuses a device that ``open(_:)`` would, without opening it.
  public static func require(_ device: String) throws(DeviceError) {
    let name = try name(of: device, for: 0)
    let candidates = all(through: name.prefix { $0 != ":" })
    guard let found = candidates.first(where: { $0.name == name }) else { throw absent(name) }
    if let flaw = found.flaw { throw .notFound("\(name): \(flaw)") }
  }

  private static func absent(_ name: String) -> DeviceError {
    let names = all.map(\.name)
    let reason: String? =
      if name.hasPrefix("cuda") {
        CUDADriver.absence?.description
      } else {
        OpenCLLibrary.shared == nil ? "\(OpenCLLibrary.fileNames[0]) was not found" : nil
      }
    let others = names.isEmpty ? [] : ["there are cpu, \(names.joined(separator: ", "))"]
    let advice = names.isEmpty || reason?.hasSuffix("was not found") ?? false ? [installation] : []
    return .notFound(
      (["there is no device \(name)\(reason.map { ": \($0)" } ?? "")"] + others + advice)
        .joined(separator: "; "))
  }
}
