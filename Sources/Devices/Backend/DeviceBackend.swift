public import Backends
import Files
import HostResources
import Synchronization
import TensorCore

/// A device as a backend: its memory, and the kernels that perform operations there.
///
/// Operations are queued, and waited for where their results are read. One thread at a time is let in. An
/// operation that fails, for lack of memory or of the device, ends the process with one line, as nothing
/// could continue without its result; see `exitImmediately`. Only a check goes on, see ``noting(_:)``.
public final class DeviceBackend: Backend {
  package let device: any Device
  /// How the factors of products are rounded, and activations.
  public let precision: ProductPrecision
  /// Whether products go through tensor cores, or, for tests, through what stands for them.
  let usesTensorCores: Bool
  let pool: DeviceMemoryPool
  private let turn = Mutex(Turn())
  private let kernels = KernelCache()

  /// What becomes of an error.
  private struct Turn {
    var notes = false
    var noted: DeviceError?
  }

  /// - Parameters:
  ///   - precision: nil: TF32 where the device has tensor cores for it
  ///   - emulatesTensorCores: in half precision, where the device has none; in TF32 always
  package init(
    _ device: any Device, precision: ProductPrecision? = nil, emulatesTensorCores: Bool = false
  ) {
    self.device = device
    self.precision = precision ?? (device.hasTensorCores ? .tf32 : .single)
    usesTensorCores =
      switch self.precision {
      case .single: false
      case .tf32: true
      case .half: device.hasTensorCores || emulatesTensorCores
      }
    pool = DeviceMemoryPool(device)
  }

  public var name: String { device.name }
  public var activationFormat: NumberFormat { precision.activationFormat }
  public var description: DeviceDescription { device.description }

  /// What the last bits of results depend on, as records name it: of machine code that is kept, what made it.
  public var identity: String { kernels.kept?.identity ?? ownIdentity }

  /// The same for what is compiled now.
  public var ownIdentity: String { "\(firstWords)\(description.compiler)\(lastWords)" }

  // A driver runs machine code as it is; others translate once more.
  private var firstWords: String {
    "\(device.name.prefix { $0 != ":" }) \(description.product), "
      + (device is any CodeDevice ? "" : "\(description.driver), ")
  }
  private var lastWords: String {
    ", kernels \(KernelSource.digest.prefix(8)), products \(precision)"
  }

  /// Whether it computes the same bits as what a record names: it is that, or has its machine code.
  public func canContinue(_ kept: KeptCode) -> Bool {
    kept.identity == ownIdentity
      || device is any CodeDevice && kept.identity.hasPrefix(firstWords)
        && kept.identity.hasSuffix(lastWords) && kept.isThere
  }

  /// Computes by machine code that is kept, and keeps what is compiled; nil: compiles all, and keeps nothing.
  public func use(_ kept: KeptCode?) { kernels.kept = device is any CodeDevice ? kept : nil }

  /// The most bytes of the device that were in use at once.
  public var peakBytes: Int { pool.peakBytes }

  public func allocate(count: Int, format: NumberFormat) -> AnyObject {
    orExit { () throws(DeviceError) -> AnyObject in
      try DeviceMemory(byteCount: max(1, count) * format.byteCount, from: pool)
    } noting: {
      Refused()
    }
  }

  /// Returns memory that is not in use to the device.
  public func releaseFreeMemory() {
    orExit { () throws(DeviceError) in
      try pool.releaseFreeBlocks()
    } noting: {
    }
  }

  /// Waits until all operations are done.
  public func finish() {
    orExit { () throws(DeviceError) in
      try device.finish()
    } noting: {
    }
  }

  public func write<Failure: Error>(
    _ target: Operand, count: Int,
    _ body: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    let staging = HostMemory(count: count)
    try body(UnsafeMutableBufferPointer(start: staging.pointer, count: count))
    // Numbers are converted on the device.
    let isSingle = target.storage.format == .single
    let single = isSingle ? target : Operand(Storage(count: count, on: self))
    upload(staging.pointer, byteCount: count * MemoryLayout<Float>.stride, to: single)
    if !isSingle { perform(.convert(single, into: target, count: count)) }
  }

  public func writeHalf<Failure: Error>(
    _ target: Operand, count: Int,
    _ body: (UnsafeMutableBufferPointer<UInt16>) throws(Failure) -> Void
  ) throws(Failure) {
    let staging = HostMemory(count: (count + 1) / 2)
    let halves = UnsafeMutableRawPointer(staging.pointer)
    try halves.withMemoryRebound(to: UInt16.self, capacity: count) { pointer throws(Failure) in
      try body(UnsafeMutableBufferPointer(start: pointer, count: count))
    }
    upload(halves, byteCount: count * MemoryLayout<UInt16>.stride, to: target)
  }

  private func upload(_ source: UnsafeRawPointer, byteCount: Int, to target: Operand) {
    orExit { () throws(DeviceError) in
      try device.upload(
        source, byteCount: byteCount, to: buffer(target),
        at: target.offset * target.storage.format.byteCount)
    } noting: {
    }
  }

  public func read<Result, Failure: Error>(
    _ source: Operand, count: Int,
    _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let staging = HostMemory(count: count)
    let single = singlePrecision(source, count: count)
    orExit { () throws(DeviceError) in
      try device.download(
        buffer(single), at: single.offset * MemoryLayout<Float>.stride,
        byteCount: count * MemoryLayout<Float>.stride, to: staging.pointer)
    } noting: {
      staging.pointer.update(repeating: .nan, count: count)
    }
    withExtendedLifetime(single) {}
    return try body(UnsafeBufferPointer(start: staging.pointer, count: count))
  }

  /// The same numbers in single precision: a copy of others.
  private func singlePrecision(_ source: Operand, count: Int) -> Operand {
    guard source.storage.format != .single else { return source }
    let copy = Operand(Storage(count: count, on: self))
    perform(.convert(source, into: copy, count: count))
    return copy
  }

  public func areFinite(_ arrays: [(values: Operand, count: Int)]) -> Bool {
    orExit { () throws(DeviceError) in
      try findAllFinite(arrays)
    } noting: {
      true
    }
  }

  public func largestMagnitude(_ source: Operand, count: Int) -> Float {
    orExit { () throws(DeviceError) in
      try findLargestMagnitude(source, count: count)
    } noting: {
      .nan
    }
  }

  public func firstNonFinite(_ source: Operand, count: Int) -> Int? {
    orExit { () throws(DeviceError) in
      try findNonFinite(source, count: count)
    } noting: {
      nil
    }
  }

  public func squareSum(_ source: Operand, count: Int) -> Double {
    orExit { () throws(DeviceError) in
      try sumOfSquares(source, count: count)
    } noting: {
      .nan
    }
  }

  public func perform(_ operation: Operation) {
    OperationProfile.measure(operation) {
      orExit { () throws(DeviceError) in
        try run(operation)
        if OperationProfile.isRecording { try device.finish() }
      } noting: {
      }
    }
  }

  /// Runs `body` when it is this thread's turn; an error ends the process.
  ///
  /// - Parameter substitute: what stands for the result where errors are noted instead; nothing is asked of
  ///   the device after the first
  private func orExit<Result>(
    _ body: () throws(DeviceError) -> Result, noting substitute: () -> Result
  ) -> Result {
    turn.withLock { turn in
      guard turn.noted == nil else { return substitute() }
      do throws(DeviceError) {
        return try body()
      } catch {
        guard turn.notes else { exitImmediately(error) }
        turn.noted = error
        return substitute()
      }
    }
  }

  /// Memory that the device did not give.
  private final class Refused {}

  /// Runs `body`, whose results mean nothing if an operation failed.
  ///
  /// For a check of the device, while nothing else uses it.
  ///
  /// - Returns: the first error, too
  package func noting<Result>(_ body: () -> Result) -> (result: Result, error: DeviceError?) {
    turn.withLock { $0 = Turn(notes: true) }
    let result = body()
    let error = turn.withLock { turn in
      defer { turn = Turn() }
      return turn.noted
    }
    return (result, error)
  }
}

// What the kinds of operations are made of.
extension DeviceBackend {
  /// Asks for a kernel with one work item for each of `count` elements, none where there are none.
  func launch(
    _ kernel: String, of source: KernelSource, _ definitions: [String], items count: Int,
    _ arguments: [KernelArgument]
  ) throws(DeviceError) {
    let groups = (count + KernelSource.groupSize - 1) / KernelSource.groupSize
    try launch(
      kernel, of: source, definitions, counting: count, groups: (groups, 1), arguments)
  }

  /// Asks for a kernel with so many work groups, none where there are none.
  ///
  /// - Parameter count: the largest extent that it counts in 32 bits
  func launch(
    _ kernel: String, of source: KernelSource, _ definitions: [String], counting count: Int = 0,
    groups: (x: Int, y: Int), _ arguments: [KernelArgument]
  ) throws(DeviceError) {
    guard groups.x > 0, groups.y > 0 else { return }
    let counted = max(count, groups.x)
    guard counted <= Int(Int32.max), groups.y <= Int(UInt16.max) else {
      throw .tooLarge(count: max(counted, groups.y), device: name)
    }
    try device.launch(
      kernels.kernel(kernel, of: source, definitions, device, ownIdentity), groups: groups,
      arguments)
  }

  func scratch(_ count: Int) throws(DeviceError) -> DeviceMemory {
    try DeviceMemory(byteCount: max(1, count) * MemoryLayout<Float>.stride, from: pool)
  }

  /// Numbers that a kernel reads besides its operands.
  func uploaded<Number: BitwiseCopyable>(_ values: [Number]) throws(DeviceError) -> DeviceMemory {
    let byteCount = values.count * MemoryLayout<Number>.stride
    let memory = try DeviceMemory(byteCount: max(1, byteCount), from: pool)
    try device.upload(values, byteCount: byteCount, to: memory.buffer, at: 0)
    return memory
  }

  func buffer(_ operand: Operand) -> DeviceBuffer {
    guard operand.storage.backend === self, let memory = operand.storage.memory as? DeviceMemory
    else { preconditionFailure("numbers of \(operand.storage.backend.name) are not on \(name)") }
    return memory.buffer
  }

  func memory(_ operand: Operand) -> KernelArgument {
    .memory(buffer(operand), offset: operand.offset)
  }
}

extension KernelArgument {
  static func memory(_ memory: DeviceMemory, offset: Int = 0) -> KernelArgument {
    .memory(memory.buffer, offset: offset)
  }
}
