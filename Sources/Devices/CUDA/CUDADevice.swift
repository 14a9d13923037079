import Files

/// A GPU of NVIDIA's, through the driver alone and the compiler that is found beside it.
final class CUDADevice: CodeDevice {
  typealias Handle = CUDADriver.Handle

  let name: String
  let hasTensorCores: Bool
  let description: DeviceDescription
  private let driver: CUDADriver
  private let compiler: NVRTC
  private let context: Handle
  /// Such as `sm_80`.
  private let target: String

  init(_ found: CUDADeviceIdentity, _ driver: CUDADriver) throws(DeviceError) {
    name = "cuda:\(found.index)"
    guard let compiler = found.compiler else {
      throw .notFound("\(name): no compiler, libnvrtc; \(NVRTC.installation)")
    }
    self.driver = driver
    self.compiler = compiler
    // An update of the compiler in the middle of a run is noticed, whatever it calls itself.
    do {
      description = found.description.compiled(by: try compiler.digest())
    } catch {
      throw .notFound("\(name): its compiler cannot be read: \(error)")
    }
    target = found.target
    hasTensorCores = found.hasTensorCores
    var context: Handle = 0
    try Self.check(
      driver.retainContext(&context, found.device), "cuDevicePrimaryCtxRetain", name)
    self.context = context
  }

  func allocate(byteCount: Int) throws(DeviceError) -> DeviceBuffer {
    var address: CUDADriver.Address = 0
    try perform("cuMemAlloc", byteCount) { driver.allocate(&address, byteCount) }
    return DeviceBuffer(handle: UInt(address), byteCount: byteCount)
  }

  func release(_ buffer: DeviceBuffer) {
    _ = driver.setContext(context)
    _ = driver.release(UInt64(buffer.handle))
  }

  func upload(
    _ source: UnsafeRawPointer, byteCount: Int, to target: DeviceBuffer, at byteOffset: Int
  ) throws(DeviceError) {
    guard byteCount > 0 else { return }
    try perform("cuMemcpyHtoD", byteCount) {
      driver.upload(UInt64(target.handle) + UInt64(byteOffset), source, byteCount)
    }
  }

  func download(
    _ source: DeviceBuffer, at byteOffset: Int, byteCount: Int,
    to target: UnsafeMutableRawPointer
  ) throws(DeviceError) {
    guard byteCount > 0 else { return }
    try perform("cuMemcpyDtoH", byteCount) {
      driver.download(target, UInt64(source.handle) + UInt64(byteOffset), byteCount)
    }
  }

  func machineCode(
    _ source: KernelSource, definitions: [String]
  ) throws(DeviceError) -> [UInt8] {
    try compiler.machineCode(source, target: target, definitions: definitions, device: name)
  }

  func isWhole(_ code: [UInt8]) -> Bool { CUDABinary.isWhole(code) }

  func load(_ code: [UInt8], of source: KernelSource) throws(DeviceError) -> DeviceProgram {
    var module: Handle = 0
    try perform("cuModuleLoadData of \(source.name)") {
      driver.loadModule(&module, code)
    }
    return DeviceProgram(handle: module)
  }

  func kernel(_ name: String, of program: DeviceProgram) throws(DeviceError) -> DeviceKernel {
    var function: Handle = 0
    try perform("cuModuleGetFunction of \(name)") {
      driver.getFunction(&function, program.handle, name)
    }
    return DeviceKernel(handle: function)
  }

  func launch(
    _ kernel: DeviceKernel, groups: (x: Int, y: Int), _ arguments: [KernelArgument]
  ) throws(DeviceError) {
    // Each argument in 8 bytes of its own, its value in the first of them.
    var values: [UInt64] = []
    for argument in arguments {
      switch argument {
      case .memory(let buffer, let offset):
        values.append(UInt64(buffer.handle))
        values.append(UInt64(offset))
      case .word(let value): values.append(UInt64(value))
      case .float(let value): values.append(UInt64(value.bitPattern))
      }
    }
    try perform("cuLaunchKernel") {
      values.withUnsafeMutableBytes { bytes in
        var pointers = stride(from: 0, to: bytes.count, by: 8).map { offset in
          bytes.baseAddress.map { $0 + offset }
        }
        return driver.launch(
          kernel.handle, UInt32(groups.x), UInt32(groups.y), 1, UInt32(KernelSource.groupSize), 1,
          1, 0, 0, &pointers, nil)
      }
    }
  }

  func finish() throws(DeviceError) { try perform("cuCtxSynchronize") { driver.synchronize() } }

  /// Calls the driver, whose current context is one of the thread's.
  private func perform(
    _ call: String, _ byteCount: Int? = nil, _ body: () -> Int32
  ) throws(DeviceError) {
    var status = driver.setContext(context)
    if status == 0 { status = body() }
    try Self.check(status, call, name, byteCount)
  }

  private static func check(
    _ status: Int32, _ call: String, _ name: String, _ byteCount: Int? = nil
  ) throws(DeviceError) {
    if status == outOfMemory { throw .outOfMemory(byteCount: byteCount, device: name) }
    guard status == 0 else { throw .failed(call: call, device: name, code: Int(status)) }
  }

  /// `CUDA_ERROR_OUT_OF_MEMORY`.
  private static let outOfMemory: Int32 = 2
}
