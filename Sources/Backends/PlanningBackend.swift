public import HostResources
import Synchronization
import TensorCore

/// Computes nothing, and counts: what runs on it is what a plan of time and memory is made of.
///
/// Memory comes out as the pool of what is planned for would have it; operations are added to the profile that is
/// being recorded. All numbers that are read are zeros, and closures that would write numbers are not called: weights
/// of any size are ready immediately.
public final class PlanningBackend: Backend {
  /// What is planned for.
  public enum Target: Sendable, Equatable {
    /// Working memory of kernels included; numbers of half precision are not in its pool.
    case host
    /// Whose kernels take little beside their operands, and whose pool keeps what is free as long as there is room.
    case device(activations: NumberFormat)
  }

  private let memory: PlannedMemory
  public let target: Target

  /// - Parameter freeByteLimit: of the host's pool
  public init(for target: Target = .host, freeByteLimit: Int = BufferPool.freeByteLimit) {
    self.target = target
    memory = PlannedMemory(
      freeByteLimit: target == .host ? freeByteLimit : .max, poolsHalves: target != .host)
  }

  public var activationFormat: NumberFormat {
    switch target {
    case .host: .single
    case .device(let activations): activations
    }
  }

  /// The most bytes that were written or read at once: what a device's numbers pass through.
  public var largestTransferBytes: Int { memory.state.withLock { $0.largestTransferBytes } }

  public var name: String { "plan" }

  /// Bytes that are in use now.
  public var usedBytes: Int { memory.state.withLock { $0.blocks.usedBytes + $0.halfBytes } }

  /// The most bytes that were in use at once.
  public var peakBytes: Int { memory.state.withLock { $0.peakBytes } }

  /// The most bytes that were in use or waited to be used again at once.
  public var heldPeakBytes: Int { memory.state.withLock { $0.heldPeakBytes } }

  /// The same without numbers of half precision, which no pool holds: what tests compare with a pool.
  package var poolHeldPeakBytes: Int { memory.state.withLock { $0.blocks.heldPeakBytes } }

  /// Forgets the blocks that wait to be used again; the peaks stay.
  public func releaseFreeBlocks() { memory.state.withLock { _ = $0.blocks.removeFree() } }

  public func allocate(count: Int, format: NumberFormat) -> AnyObject {
    PlannedBlock(memory, count: count, format: format)
  }

  public func write<Failure: Error>(
    _ target: Operand, count: Int,
    _ body: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
  ) throws(Failure) { memory.noteTransfer(count * MemoryLayout<Float>.stride) }

  public func writeHalf<Failure: Error>(
    _ target: Operand, count: Int,
    _ body: (UnsafeMutableBufferPointer<UInt16>) throws(Failure) -> Void
  ) throws(Failure) { memory.noteTransfer(count * MemoryLayout<UInt16>.stride) }

  public func read<Result, Failure: Error>(
    _ source: Operand, count: Int,
    _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    memory.noteTransfer(count * MemoryLayout<Float>.stride)
    let zeros = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    defer { zeros.deallocate() }
    zeros.initialize(repeating: 0)
    return try body(UnsafeBufferPointer(zeros))
  }

  public func largestMagnitude(_ source: Operand, count: Int) -> Float { 1 }

  public func firstNonFinite(_ source: Operand, count: Int) -> Int? { nil }

  public func squareSum(_ source: Operand, count: Int) -> Double { 0 }

  public func perform(_ operation: Operation) {
    OperationProfile.count(operation)
    guard target == .host else { return }
    switch operation {
    case .normalizeGroups(let operands): take(operands.shape.workingMemory)
    case .normalizeGroupsGradient(let operands):
      take(operands.shape.gradientWorkingMemory(appliesSiLU: operands.appliesSiLU))
    case .multiply(let product): take(product.workingMemory)
    case .convolve(let operands):
      take(
        operands.shape.memory(
          upsamples: operands.upsamples, isHalf: operands.weights.values.isHalf), operands.weights)
    case .convolveInputGradient(let operands):
      take(
        operands.shape.inputGradientMemory(isHalf: operands.weights.values.isHalf),
        operands.weights)
    case .convolveWeightGradient(let operands): take(operands.shape.weightGradientMemory)
    case .attend(let operands): take(operands.shape.workingMemory)
    case .attendGradients(let operands): take(operands.shape.gradientWorkingMemory)
    case .fill, .combine, .sumRepeats, .sum, .scaleAndShift, .addScaled, .clamp, .clampGradient,
      .activate, .activationGradient, .gatedGELU, .gatedGELUGradient, .evaluate, .evaluateGradient,
      .adamW, .normalizeLengths, .normalizeLengthsGradient, .logSoftmax, .logSoftmaxGradient,
      .normalizeRows, .normalizeRowsGradient, .convert, .copyRows, .gatherRows, .scatterRows,
      .transpose, .upsampleNearest, .upsampleNearestGradient, .resample, .resampleGradient:
      // Their kernels take nothing from the pool.
      break
    }
  }

  /// Takes the blocks of a kernel and gives them back.
  private func take(_ working: WorkingMemory) {
    let held = working.held.map { PlannedBlock(memory, count: $0, format: .single) }
    for part in working.then { take(part) }
    withExtendedLifetime(held) {}
  }

  private func take(_ convolution: ConvolutionMemory, _ weights: ConvolutionOperand) {
    if !convolution.kept.isEmpty {
      let layouts = weights.derived as? PlannedLayouts ?? PlannedLayouts()
      for (name, count) in convolution.kept where layouts.blocks[name] == nil {
        layouts.blocks[name] = PlannedBlock(memory, count: count, format: .single)
        take(convolution.making)
      }
      weights.derived = layouts
    }
    take(convolution.working)
  }
}

extension MatrixProduct {
  fileprivate var workingMemory: WorkingMemory {
    RightFactor.workingMemory(
      rows: rows, columns: columns, inner: inner, left: (left.stride, left.isTransposed),
      isTransposed: right.isTransposed,
      halfCount: right.values.isHalf ? right.values.storage.count : nil, rank: update?.rank ?? 0)
  }
}

extension Operand {
  fileprivate var isHalf: Bool { storage.format != .single }
}

/// What is kept of the weights of one convolution.
private final class PlannedLayouts {
  var blocks: [String: PlannedBlock] = [:]
}

/// The memory of a process, without the memory.
private final class PlannedMemory: Sendable {
  struct State {
    var blocks: RecycledBlocks<Void>
    /// Numbers of half precision take what they need, not a block of the pool.
    var halfBytes = 0
    var peakBytes = 0
    var heldPeakBytes = 0
    var largestTransferBytes = 0

    mutating func look() {
      let used = blocks.usedBytes + halfBytes
      peakBytes = max(peakBytes, used)
      heldPeakBytes = max(heldPeakBytes, used + blocks.freeBytes)
    }
  }

  let state: Mutex<State>
  /// Whether numbers of half precision take blocks as others do.
  let poolsHalves: Bool

  init(freeByteLimit: Int, poolsHalves: Bool) {
    self.poolsHalves = poolsHalves
    state = Mutex(State(blocks: RecycledBlocks(freeByteLimit: freeByteLimit)))
  }

  func noteTransfer(_ byteCount: Int) {
    state.withLock { $0.largestTransferBytes = max($0.largestTransferBytes, byteCount) }
  }
}

/// One allocation.
private final class PlannedBlock {
  private let memory: PlannedMemory
  private let byteCount: Int
  /// Whether it is beside the pool.
  private let isHalf: Bool

  init(_ memory: PlannedMemory, count: Int, format: NumberFormat) {
    self.memory = memory
    isHalf = format != .single && !memory.poolsHalves
    let needed = max(1, count) * format.byteCount
    byteCount = memory.state.withLock { [isHalf] state in
      var taken = needed
      if isHalf { state.halfBytes += needed } else { taken = state.blocks.take(needed).byteCount }
      state.look()
      return taken
    }
  }

  deinit {
    memory.state.withLock { [isHalf, byteCount] state in
      if isHalf {
        state.halfBytes -= byteCount
      } else {
        _ = state.blocks.giveBack((), byteCount: byteCount)
      }
    }
  }
}
