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
  }

  /// All of them, those through CUDA first; none under `ulimit -v`, see ``automatic``.
  public static var all: [Found] {
    guard !MemoryLimit.isShellLimited else { return [] }
    return (CUDADriver.shared.map { all($0) } ?? []) + (OpenCLLibrary.shared.map { all($0) } ?? [])
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
    "a GPU needs its driver; one of NVIDIA's \(NVRTC.installation), too; a processor's OpenCL, for tests, is "
    + "pocl-opencl-icd"

  /// The backend of a device.
  ///
  /// - Throws: ``DeviceError/notFound(_:)`` if there is no such device, or it cannot be used
  public static func open(_ choice: DeviceChoice.Device) throws(DeviceError) -> DeviceBackend {
    let name = choice.description
    switch choice.interface {
    case .cuda:
      guard let driver = CUDADriver.shared else {
        throw .notFound("\(name): no driver of NVIDIA's, libcuda.so.1, that works; install it")
      }
      let all = CUDADeviceIdentity.all(driver)
      guard all.indices.contains(choice.index) else { throw missing(name, all.count) }
      return DeviceBackend(try CUDADevice(all[choice.index], driver))
    case .openCL:
      guard let library = OpenCLLibrary.shared else {
        throw .notFound(
          "\(name): no OpenCL, \(OpenCLLibrary.fileNames[0]); install ocl-icd-libopencl1 and a driver"
        )
      }
      let all = OpenCLDeviceIdentity.all(library)
      guard all.indices.contains(choice.index) else { throw missing(name, all.count) }
      if let flaw = all[choice.index].flaw { throw .notFound("\(name): \(flaw)") }
      return DeviceBackend(try OpenCLDevice(all[choice.index], library))
    }
  }

  private static func missing(_ name: String, _ count: Int) -> DeviceError {
    .notFound(
      "\(name): no such device; \(count == 0 ? "none was found: \(installation)" : "there are \(count), from 0")"
    )
  }
}
