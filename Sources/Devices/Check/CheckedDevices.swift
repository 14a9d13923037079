import Files

/// What was found when devices were compared with the host, in files of the user's cache folder, so that each
/// is compared once.
///
/// A file is about one device, driver, compiler (of kept machine code, the one that made it), set of kernels and
/// build of this program. One that lacks an operation counts as none. Whether a device is right is judged anew
/// from the numbers. Several processes may compare the same device: each finds the same.
public struct CheckedDevices: Sendable {
  /// Nil: nothing is kept.
  private let folder: String?

  public init(folder: String?) { self.folder = folder }

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
    guard check.findings.allSatisfy({ $0.failure == nil }),
      check.findings.map(\.name) == DeviceCheck.operations(device.precision)
    else { return }
    file(device).keep(
      .array(
        check.findings.map {
          // JSON has no infinity, which stands for what cannot be compared.
          [.string($0.name), $0.error.isFinite ? .number(Double($0.error)) : .null]
        }))
  }

  private func read(_ device: DeviceBackend) -> DeviceCheck? {
    guard let entries = try? file(device).content?.elements() else { return nil }
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

  private func file(_ device: DeviceBackend) -> UserCacheFile {
    UserCacheFile("device", format: 2, about: Self.subject(device), in: folder)
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
