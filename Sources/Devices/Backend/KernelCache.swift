import Synchronization

/// The kernels that were compiled for a device, each source once for each set of definitions.
final class KernelCache: Sendable {
  private struct Variant: Hashable {
    /// Whose code it is, where it is kept.
    let maker: String?
    let source: String
    let definitions: [String]
  }

  private struct State {
    var kept: KeptCode?
    var programs: [Variant: DeviceProgram] = [:]
    var kernels: [Variant: [String: DeviceKernel]] = [:]
  }

  private let state = Mutex(State())

  /// Where machine code is kept; nil: nowhere.
  var kept: KeptCode? {
    get { state.withLock { $0.kept } }
    set { state.withLock { $0.kept = newValue } }
  }

  /// - Parameter identity: what compiles now
  func kernel(
    _ name: String, of source: KernelSource, _ definitions: [String], _ device: any Device,
    _ identity: @autoclosure () -> String
  ) throws(DeviceError) -> DeviceKernel {
    try state.withLock { state throws(DeviceError) in
      let variant = Variant(
        maker: state.kept?.identity, source: source.name, definitions: definitions)
      if let kernel = state.kernels[variant]?[name] { return kernel }
      let program =
        if let program = state.programs[variant] {
          program
        } else if let device = device as? any CodeDevice, let kept = state.kept {
          try Self.program(of: source, definitions, device, kept, identity())
        } else {
          try device.compile(source, definitions: definitions)
        }
      state.programs[variant] = program
      let kernel = try device.kernel(name, of: program)
      state.kernels[variant, default: [:]][name] = kernel
      return kernel
    }
  }

  /// What is kept, or is kept from now on.
  private static func program(
    of source: KernelSource, _ definitions: [String], _ device: any CodeDevice, _ kept: KeptCode,
    _ identity: String
  ) throws(DeviceError) -> DeviceProgram {
    if let code = kept.read(source, definitions), device.isWhole(code) {
      do throws(DeviceError) {
        return try device.load(code, of: source)
      } catch .outOfMemory(let byteCount, let name) {
        throw .outOfMemory(byteCount: byteCount, device: name)
      } catch {
        // The driver has no use for it: the same as none.
      }
    }
    guard kept.identity == identity else {
      throw .notKept(source: source.name, device: device.name, made: kept.identity, now: identity)
    }
    let code = try device.machineCode(source, definitions: definitions)
    kept.keep(code, of: source, definitions)
    return try device.load(code, of: source)
  }
}
