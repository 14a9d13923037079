import Devices
import Foundation
import Synchronization

/// A device of the host's memory on which kernels do nothing, or what another device does except for one.
///
/// Its machine code says what made it, and which kernels it is of.
final class SyntheticDevice: CodeDevice {
  let name: String
  let hasTensorCores = false
  let description: DeviceDescription
  private let other: (any Device)?
  /// The kernel that is not run, or fails.
  private let broken: String
  private let failure: DeviceError?
  private let losesDevice: Bool
  /// The program whose kernel is broken; nil: any.
  private let breaker: String?
  private let state = Mutex(State())

  private struct State {
    var names: [String] = []
    var handlesOfBroken: Set<UInt> = []
    var isLost = false
    var launched: Set<String> = []
    var compiled: [(source: KernelSource, definitions: [String])] = []
    var loaded: [String] = []
    var makers: [UInt: String] = [:]
  }

  /// - Parameters:
  ///   - other: what runs the other kernels; nil: nothing does
  ///   - breaker: whose code of the kernel does so; nil: anybody's
  ///   - failure: what happens when the kernel is asked for; nil: nothing
  ///   - losesDevice: whether all that is asked for later fails as well
  init(
    named name: String = "synthetic:0", driver: String = "1", compiler: String = "none",
    _ other: (any Device)? = nil, without broken: String = "", by breaker: String? = nil,
    failing failure: DeviceError? = nil, losesDevice: Bool = false
  ) {
    self.name = name
    self.other = other
    self.broken = broken
    self.breaker = breaker
    self.failure = failure
    self.losesDevice = losesDevice
    description = DeviceDescription(
      product: "synthetic", driver: driver, compiler: compiler, byteCount: 1 << 30,
      isProcessor: true, peakRate: nil)
  }

  /// The kernels that were asked for.
  var launched: Set<String> { state.withLock { $0.launched } }

  /// The compiled programs, each once.
  var compiled: [(source: KernelSource, definitions: [String])] { state.withLock { $0.compiled } }

  private func requirePresence() throws(DeviceError) {
    if let failure, state.withLock({ $0.isLost }) { throw failure }
  }

  func allocate(byteCount: Int) throws(DeviceError) -> DeviceBuffer {
    try requirePresence()
    if let other { return try other.allocate(byteCount: byteCount) }
    guard let memory = calloc(byteCount, 1) else {
      throw .outOfMemory(byteCount: byteCount, device: name)
    }
    return DeviceBuffer(handle: UInt(bitPattern: memory), byteCount: byteCount)
  }

  func release(_ buffer: DeviceBuffer) {
    if let other { return other.release(buffer) }
    free(UnsafeMutableRawPointer(bitPattern: buffer.handle))
  }

  func upload(
    _ source: UnsafeRawPointer, byteCount: Int, to target: DeviceBuffer, at byteOffset: Int
  ) throws(DeviceError) {
    try requirePresence()
    if let other {
      return try other.upload(source, byteCount: byteCount, to: target, at: byteOffset)
    }
    UnsafeMutableRawPointer(bitPattern: target.handle)?.advanced(by: byteOffset).copyMemory(
      from: source, byteCount: byteCount)
  }

  func download(
    _ source: DeviceBuffer, at byteOffset: Int, byteCount: Int, to target: UnsafeMutableRawPointer
  ) throws(DeviceError) {
    try requirePresence()
    if let other {
      return try other.download(source, at: byteOffset, byteCount: byteCount, to: target)
    }
    guard let memory = UnsafeRawPointer(bitPattern: source.handle) else { return }
    target.copyMemory(from: memory + byteOffset, byteCount: byteCount)
  }

  /// Whose code was loaded, in that order.
  var loaded: [String] { state.withLock { $0.loaded } }

  func machineCode(
    _ source: KernelSource, definitions: [String]
  ) throws(DeviceError) -> [UInt8] {
    state.withLock { $0.compiled.append((source, definitions)) }
    return Array(([description.compiler, source.name] + definitions).joined(separator: "\n").utf8)
  }

  func isWhole(_ code: [UInt8]) -> Bool { code.contains(UInt8(ascii: "\n")) }

  func load(_ code: [UInt8], of source: KernelSource) throws(DeviceError) -> DeviceProgram {
    let words = String(decoding: code, as: UTF8.self).split(separator: "\n").map(String.init)
    guard words.count >= 2, words[1] == source.name else {
      throw .failed(call: "load of \(source.name)", device: name, code: 200)
    }
    let program = try other?.compile(source, definitions: Array(words[2...]))
    return state.withLock { state in
      state.loaded.append(words[0])
      let handle = program?.handle ?? UInt(state.loaded.count)
      state.makers[handle] = words[0]
      return DeviceProgram(handle: handle)
    }
  }

  func kernel(_ name: String, of program: DeviceProgram) throws(DeviceError) -> DeviceKernel {
    let found = try other?.kernel(name, of: program)
    return state.withLock { state in
      state.launched.insert(name)
      state.names.append(name)
      let kernel = found ?? DeviceKernel(handle: UInt(state.names.count))
      if name == broken, [nil, state.makers[program.handle]].contains(breaker) {
        state.handlesOfBroken.insert(kernel.handle)
      }
      return kernel
    }
  }

  func launch(
    _ kernel: DeviceKernel, groups: (x: Int, y: Int), _ arguments: [KernelArgument]
  ) throws(DeviceError) {
    try requirePresence()
    guard state.withLock({ $0.handlesOfBroken.contains(kernel.handle) }) else {
      try other?.launch(kernel, groups: groups, arguments)
      return
    }
    if losesDevice { state.withLock { $0.isLost = true } }
    if let failure { throw failure }
  }

  func finish() throws(DeviceError) {
    try requirePresence()
    try other?.finish()
  }
}
