/// A device of OpenCL: a GPU, or a processor where somebody installed an OpenCL for it.
final class OpenCLDevice: Device {
  typealias Handle = OpenCLLibrary.Handle

  let name: String
  let hasTensorCores = false
  let description: DeviceDescription
  private let library: OpenCLLibrary
  private let device: Handle
  private let context: Handle
  private let queue: Handle
  private let largestBuffer: Int

  init(_ found: OpenCLDeviceIdentity, _ library: OpenCLLibrary) throws(DeviceError) {
    self.library = library
    name = "opencl:\(found.index)"
    description = found.description
    device = found.device
    largestBuffer = found.largestBuffer
    var status: Int32 = 0
    var devices = [found.device]
    context = library.createContext(nil, 1, &devices, nil, nil, &status)
    try Self.check(status, "clCreateContext", name)
    queue = library.createCommandQueue(context, device, 0, &status)
    try Self.check(status, "clCreateCommandQueue", name)
  }

  func allocate(byteCount: Int) throws(DeviceError) -> DeviceBuffer {
    guard byteCount <= largestBuffer else {
      throw .outOfMemory(byteCount: byteCount, device: name)
    }
    var status: Int32 = 0
    let buffer = library.createBuffer(context, OpenCLCode.readWrite, byteCount, nil, &status)
    try check(status, "clCreateBuffer", byteCount)
    return DeviceBuffer(handle: buffer, byteCount: byteCount)
  }

  func release(_ buffer: DeviceBuffer) { _ = library.releaseMemory(buffer.handle) }

  func upload(
    _ source: UnsafeRawPointer, byteCount: Int, to target: DeviceBuffer, at byteOffset: Int
  ) throws(DeviceError) {
    guard byteCount > 0 else { return }
    try check(
      library.enqueueWrite(
        queue, target.handle, OpenCLCode.blocking, byteOffset, byteCount, source, 0, nil, nil),
      "clEnqueueWriteBuffer", byteCount)
  }

  func download(
    _ source: DeviceBuffer, at byteOffset: Int, byteCount: Int,
    to target: UnsafeMutableRawPointer
  ) throws(DeviceError) {
    guard byteCount > 0 else { return }
    try check(
      library.enqueueRead(
        queue, source.handle, OpenCLCode.blocking, byteOffset, byteCount, target, 0, nil, nil),
      "clEnqueueReadBuffer", byteCount)
  }

  func compile(
    _ source: KernelSource, definitions: [String]
  ) throws(DeviceError) -> DeviceProgram {
    var status: Int32 = 0
    let program = source.text.withCString { text in
      var texts: [UnsafePointer<CChar>?] = [text]
      return library.createProgram(context, 1, &texts, nil, &status)
    }
    try check(status, "clCreateProgramWithSource")
    var devices = [device]
    let options = (["-cl-std=CL1.2"] + definitions.map { "-D\($0)" }).joined(separator: " ")
    guard library.buildProgram(program, 1, &devices, options, nil, nil) == 0 else {
      let log =
        text { library.getProgramBuildInfo(program, device, OpenCLCode.buildLog, $0, $1, $2) } ?? ""
      throw .notCompiled(source: source.name, device: name, log: log)
    }
    return DeviceProgram(handle: program)
  }

  func kernel(_ name: String, of program: DeviceProgram) throws(DeviceError) -> DeviceKernel {
    var status: Int32 = 0
    let kernel = library.createKernel(program.handle, name, &status)
    try check(status, "clCreateKernel of \(name)")
    return DeviceKernel(handle: kernel)
  }

  func launch(
    _ kernel: DeviceKernel, groups: (x: Int, y: Int), _ arguments: [KernelArgument]
  ) throws(DeviceError) {
    var index: UInt32 = 0
    func set<Value>(_ value: Value) throws(DeviceError) {
      let status = withUnsafePointer(to: value) {
        library.setKernelArgument(kernel.handle, index, MemoryLayout<Value>.size, $0)
      }
      try check(status, "clSetKernelArg \(index)")
      index += 1
    }
    for argument in arguments {
      switch argument {
      case .memory(let buffer, let offset):
        try set(buffer.handle)
        try set(UInt64(offset))
      case .word(let value): try set(value)
      case .float(let value): try set(value)
      }
    }
    let global = [groups.x * KernelSource.groupSize, groups.y]
    let local = [KernelSource.groupSize, 1]
    try check(
      library.enqueueKernel(queue, kernel.handle, 2, nil, global, local, 0, nil, nil),
      "clEnqueueNDRangeKernel")
  }

  func finish() throws(DeviceError) { try check(library.finish(queue), "clFinish") }

  /// - Parameter byteCount: what the device may have lacked the memory for
  private func check(
    _ status: Int32, _ call: String, _ byteCount: Int? = nil
  ) throws(DeviceError) { try Self.check(status, call, name, byteCount) }

  private static func check(
    _ status: Int32, _ call: String, _ name: String, _ byteCount: Int? = nil
  ) throws(DeviceError) {
    if OpenCLCode.outOfMemory.contains(status) {
      throw .outOfMemory(byteCount: byteCount, device: name)
    }
    guard status == 0 else { throw .failed(call: call, device: name, code: Int(status)) }
  }
}

/// Numbers of OpenCL's headers.
enum OpenCLCode {
  static let readWrite: UInt64 = 1
  static let blocking: UInt32 = 1
  static let buildLog: UInt32 = 0x1183
  /// Of memory for a buffer, of the host's, and a buffer larger than the device takes.
  static let outOfMemory: Set<Int32> = [-4, -6, -61]

  static let allTypes: UInt64 = 0xFFFF_FFFF
  static let processorType: UInt64 = 1 << 1
  static let deviceType: UInt32 = 0x1000
  static let deviceName: UInt32 = 0x102B
  static let driverVersion: UInt32 = 0x102D
  static let deviceVersion: UInt32 = 0x102F
  static let globalMemory: UInt32 = 0x101F
  static let largestBuffer: UInt32 = 0x1010
  static let localMemory: UInt32 = 0x1023
  static let largestGroup: UInt32 = 0x1004
}

/// What a query of OpenCL says in text, asked for its length first; nil if it fails.
func text(
  _ query: (Int, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?) -> Int32
) -> String? {
  var size = 0
  guard query(0, nil, &size) == 0, size > 0 else { return nil }
  var bytes = [UInt8](repeating: 0, count: size)
  guard query(size, &bytes, nil) == 0 else { return nil }
  return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
}
