import Synchronization

/// The kernels that were compiled for a device, each source once for each set of definitions.
final class KernelCache: Sendable {
  private struct Variant: Hashable {
    let source: String
    let definitions: [String]
  }

  private struct State {
    var programs: [Variant: DeviceProgram] = [:]
    var kernels: [Variant: [String: DeviceKernel]] = [:]
  }

  private let state = Mutex(State())

  func kernel(
    _ name: String, of source: KernelSource, _ definitions: [String], _ device: any Device
  ) throws(DeviceError) -> DeviceKernel {
    let variant = Variant(source: source.name, definitions: definitions)
    return try state.withLock { state throws(DeviceError) in
      if let kernel = state.kernels[variant]?[name] { return kernel }
      let program =
        if let program = state.programs[variant] {
          program
        } else {
          try device.compile(source, definitions: definitions)
        }
      state.programs[variant] = program
      let kernel = try device.kernel(name, of: program)
      state.kernels[variant, default: [:]][name] = kernel
      return kernel
    }
  }
}
