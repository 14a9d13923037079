public import HostResources
import Synchronization
import TensorCore

/// Computes nothing, and counts: what runs on it is what a plan of time and memory is made of.
///
/// Memory comes out as the host's pool would have it, working memory of kernels included; operations are
/// added to the profile that is recorded. What is read are zeros, and bodies that write are not called, so
/// that weights of any size are there at once.
public final class PlanningBackend: Backend {
  private let memory: PlannedMemory
  public let activationFormat: NumberFormat

  /// - Parameters:
  ///   - freeByteLimit: of the pool that is planned
  ///   - activationFormat: of the backend that is planned
  public init(
    freeByteLimit: Int = BufferPool.freeByteLimit, activationFormat: NumberFormat = .single
  ) {
    self.activationFormat = activationFormat
    memory = PlannedMemory(freeByteLimit: freeByteLimit)
  }

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
  ) throws(Failure) {}

  public func writeHalf<Failure: Error>(
    _ target: Operand, count: Int,
    _ body: (UnsafeMutableBufferPointer<UInt16>) throws(Failure) -> Void
  ) throws(Failure) {}

  public func read<Result, Failure: Error>(
    _ source: Operand, count: Int,
    _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
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
    // A device's kernels take little beside their operands.
    guard activationFormat == .single else { return }
    switch operation {
    case .normalizeGroups(let operands): take(operands.shape.workingMemory)
    case .normalizeGroupsGradient(let operands): take(operands.shape.workingMemory)
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
      }
      weights.derived = layouts
    }
    take(convolution.working)
  }
}

extension MatrixProduct {
  fileprivate var workingMemory: WorkingMemory {
    RightFactor.workingMemory(
      rows: rows, columns: columns, inner: inner, isTransposed: right.isTransposed,
      leftStride: left.isTransposed ? left.stride : nil,
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

    mutating func look() {
      let used = blocks.usedBytes + halfBytes
      peakBytes = max(peakBytes, used)
      heldPeakBytes = max(heldPeakBytes, used + blocks.freeBytes)
    }
  }

  let state: Mutex<State>

  init(freeByteLimit: Int) {
    state = Mutex(State(blocks: RecycledBlocks(freeByteLimit: freeByteLimit)))
  }
}

/// One allocation.
private final class PlannedBlock {
  private let memory: PlannedMemory
  private let byteCount: Int
  private let isHalf: Bool

  init(_ memory: PlannedMemory, count: Int, format: NumberFormat) {
    self.memory = memory
    isHalf = format != .single
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
