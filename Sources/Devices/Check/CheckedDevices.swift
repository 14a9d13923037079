import Files
import Foundation

/// What was found when devices were compared with the host, in files of the user's cache folder, so that each
/// is compared once.
///
/// A file describes one combination of device, driver, compiler (for cached machine code, the one that made it), set of
/// kernels and build of this program. A file that is damaged, describes another combination or lacks an operation is
/// ignored. If it cannot be written, the device is compared at every start. It holds numbers only; whether they are
/// close enough is decided each time it is read. Several processes may compare the same device: each gets the same
/// result, and files are replaced atomically.
public struct CheckedDevices: Sendable {
  /// Nil: nothing is kept.
  private let folder: String?

  public init(folder: String?) { self.folder = folder }

  private static let format = 1

  /// Makes sure of a device, comparing it with the host if it was not compared as it is now.
  ///
  /// - Parameter beginning: called before a comparison, which takes seconds
  /// - Throws: errors of ``DeviceCheck/requireRight(_:)``
  public func require(_ device: DeviceBackend, beginning: () -> Void = {}) throws {
    if let earlier = read(device) { return try earlier.requireRight(device) }
    beginning()
    let check = DeviceCheck(device)
    keep(check, of: device)
    try check.requireRight(device)
  }

  /// Keeps what was found of all operations, unless the device could not do what was asked: that may pass.
  public func keep(_ check: DeviceCheck, of device: DeviceBackend) {
    guard let folder, let path = path(device), check.findings.allSatisfy({ $0.failure == nil }),
      check.findings.map(\.name) == DeviceCheck.operations(device.precision)
    else { return }
    let json: JSON = [
      "format": .integer(Self.format), "device": .string(Self.subject(device)),
      "errors": .array(
        check.findings.map {
          // JSON has no infinity, which stands for what cannot be compared.
          [.string($0.name), $0.error.isFinite ? .number(Double($0.error)) : .null]
        }),
    ]
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try? AtomicFile.replace(path, with: Array((json.text(.pretty) + "\n").utf8))
  }

  private func read(_ device: DeviceBackend) -> DeviceCheck? {
    guard let path = path(device), let json = try? JSONReader(contentsOf: path),
      (try? json.int("format")) == Self.format,
      (try? json.string("device")) == Self.subject(device),
      let entries = try? json["errors"].elements()
    else { return nil }
    var errors: [(name: String, error: Float)] = []
    for entry in entries {
      guard let pair = try? entry.elements(), pair.count == 2, let name = try? pair[0].string(),
        let error = pair[1].value == .null ? .infinity : (try? pair[1].double()).map(Float.init),
        error >= 0
      else { return nil }
      errors.append((name, error))
    }
    return DeviceCheck(errors: errors, precision: device.precision)
  }

  private func path(_ device: DeviceBackend) -> String? {
    let name = SHA256.hexDigest(of: Array(Self.subject(device).utf8)).prefix(16)
    return folder.map { "\($0)/device-\(name).json" }
  }

  /// What a comparison holds for: one card, though there may be several of a kind, and the code that runs.
  private static func subject(_ device: DeviceBackend) -> String {
    "\(device.name): \(device.identity), driver \(device.description.driver), program \(program)"
  }

  /// What launches the kernels; their own digest says nothing about that.
  private static let program: String = {
    let digest = try? SHA256.digest(of: RegularFile(path: "/proc/self/exe")).hexadecimal
    return digest ?? "\(ProgramVersion.current), kernels \(KernelSource.digest)"
  }()
}
