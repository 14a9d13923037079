import Devices
import Glibc
import Testing

/// The device that these tests use: a processor's OpenCL.
enum TestDevice {
  /// Asks PoCL for the device that computes right, before any of its libraries is loaded.
  private static let environment: Void = { _ = setenv("POCL_DEVICES", "basic", 1) }()

  private static let name: String? = {
    environment
    return Devices.all.first { $0.name.hasPrefix("opencl") && $0.flaw == nil }?.name
  }()

  /// Tests that need it are skipped where it is missing, as `apt-get install pocl-opencl-icd` was not done.
  static var isHere: Bool { name != nil }

  /// - Parameter emulatesTensorCores: in half precision as well
  static func open(
    _ precision: ProductPrecision? = nil, emulatesTensorCores: Bool = false
  ) throws -> DeviceBackend {
    guard let name else { throw DeviceError.notFound("no OpenCL: \(Devices.installation)") }
    let device = try Devices.open(name, precision: precision)
    return emulatesTensorCores
      ? DeviceBackend(device.device, precision: precision, emulatesTensorCores: true) : device
  }
}

/// All tests that use a device, one at a time: a processor's OpenCL (PoCL 3.1) ends the program when two
/// threads release their kernels at once.
@Suite(.serialized)
enum DeviceTests {}
