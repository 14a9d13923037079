import Backends
import HostResources

/// The format of activations that are made of none, such as an embedding's rows.
enum ActivationFormat {
  @TaskLocal static var current = NumberFormat.single
}

extension Tensor {
  /// The same numbers in another format.
  func converted(to format: NumberFormat) -> Tensor {
    guard format != self.format else { return self }
    let result = Tensor(uninitialized: shape, format: format, on: backend)
    backend.perform(.convert(operand, into: result.operand, count: count))
    guard isRecording(self) else { return result }
    let own = self.format
    return result.recorded(from: [self]) { [$0.converted(to: own)] }
  }
}

/// Runs `body` with half-precision activations if the backend supports them: the only entry to a
/// model.
///
///     body(inputs)
///
/// Inputs and results are of single precision, and so are parameters, their gradients, and statistics. Gradients of
/// activations are of half precision, too: the one that arrives is multiplied by a power of two, which is taken out
/// of those that leave, so that small ones do not vanish. If one of these is not finite, `body` is run again with a
/// smaller factor, a few times; one that never fits is passed on as it is.
///
/// - Parameters:
///   - inputs: every tensor computed elsewhere that `body` depends on
///   - hasLargeValues: whether activations exceed what binary16 holds, 65504: they are bfloat16 then
///   - body: may use trainable leaves besides its inputs; must be deterministic
/// - Source: Micikevicius et al. 2018, arXiv 1710.03740, section 3.2, on the factor
public func inHalfPrecision(
  _ inputs: [Tensor], hasLargeValues: Bool = false, _ body: @escaping ([Tensor]) -> [Tensor]
) -> [Tensor] {
  let backend = inputs.first?.backend ?? CurrentBackend.value
  let outer = ActivationFormat.current
  guard case .half = backend.activationFormat else { return body(inputs) }
  let format = hasLargeValues ? .half(.bfloat16) : backend.activationFormat
  guard format != outer else { return body(inputs) }
  let pass = HalfPass(format: format, outer: outer, inputs, body)
  guard GradientRecording.isOn else { return pass.run(pass.leaves()) }

  let leaves = pass.leaves()
  let results = pass.run(leaves)
  let packed = pass.packed(results)
  guard let root = packed.node else { return results }
  let own = Set(leaves.compactMap { $0.node.map { ObjectIdentifier($0) } })
  let parameters = nodesInOrder(from: root).filter {
    $0.isLeaf && !own.contains(ObjectIdentifier($0))
  }
  let node = GradientNode(inputs: inputs.map(\.node) + parameters) { gradient, handOn in
    pass.gradients(gradient, from: root, leaves, parameters, handingOn: handOn)
  }
  return pass.unpacked(packed.detached.attached(to: node), like: results)
}

/// The same for one result.
public func inHalfPrecision(
  _ inputs: [Tensor], hasLargeValues: Bool = false, _ body: @escaping ([Tensor]) -> Tensor
) -> Tensor {
  inHalfPrecision(inputs, hasLargeValues: hasLargeValues) { [body($0)] }[0]
}

/// One call of a model in half precision.
private struct HalfPass {
  /// The largest magnitude of a gradient that enters: 2^5 of the 2^16 that binary16 holds leaves room for those
  /// within to be larger, and 2^19 for them to be smaller before they lose digits.
  private static let target: Float = 32
  /// The factor by which the next attempt's is smaller.
  private static let reduction: Float = 256
  private static let attempts = 4

  let format: NumberFormat
  let outer: NumberFormat
  private let inputs: [(tensor: Tensor, needsGradient: Bool)]
  private let body: ([Tensor]) -> [Tensor]

  init(
    format: NumberFormat, outer: NumberFormat, _ inputs: [Tensor],
    _ body: @escaping ([Tensor]) -> [Tensor]
  ) {
    self.format = format
    self.outer = outer
    self.inputs = inputs.map { ($0.detached.converted(to: format), $0.requiresGradient) }
    self.body = body
  }

  func leaves() -> [Tensor] {
    inputs.map { $0.needsGradient ? $0.tensor.trainable() : $0.tensor }
  }

  func run(_ leaves: [Tensor]) -> [Tensor] {
    ActivationFormat.$current.withValue(format) {
      body(leaves).map { $0.converted(to: outer) }
    }
  }

  /// All results as one, as a node has one.
  func packed(_ results: [Tensor]) -> Tensor {
    results.count == 1
      ? results[0] : concatenated(results.map { $0.reshaped(to: [$0.count]) }, axis: 0)
  }

  func unpacked(_ packed: Tensor, like results: [Tensor]) -> [Tensor] {
    guard results.count > 1 else { return [packed] }
    var start = 0
    return results.map { result in
      defer { start += result.count }
      guard result.requiresGradient else { return result }
      return packed.slice(axis: 0, start..<start + result.count).reshaped(to: result.shape)
    }
  }

  /// The gradients of the inputs, then of the parameters, from that of the packed results: each handed on by its
  /// place.
  ///
  /// Memory holds few of them, as a finite one is right whatever the others are: gradients enter every operation
  /// as factors, and what is not finite stays so. Only those that were not handed on are wanted of the next attempt.
  func gradients(
    _ gradient: Tensor, from root: GradientNode, _ leaves: [Tensor], _ parameters: [GradientNode],
    handingOn handOn: (Int, Tensor) -> Void
  ) {
    var (root, leaves) = (root, leaves)
    var scale = format == .half(.bfloat16) ? 1 : Self.scale(for: gradient)
    var wanted = Set(0..<leaves.count + parameters.count)
    for attempt in 1... {
      let isLast = attempt == Self.attempts || format == .half(.bfloat16)
      var batch = GradientBatch()
      var fits = true
      func handOnBatch() {
        fits = fits && (isLast || batch.isFinite)
        while fits, let (place, found) = batch.popLast() {
          wanted.remove(place)
          handOn(place, unscaled(found, by: scale))
        }
        batch = GradientBatch()
      }
      Autograd.gradients(
        of: root, for: leaves.map(\.node) + parameters, outputGradient: gradient.scaled(by: scale)
      ) { place, found in
        guard fits, wanted.contains(place) else { return }
        batch.append(place, found)
        if batch.isFull { handOnBatch() }
      }
      handOnBatch()
      guard !fits else { return }
      scale /= Self.reduction
      leaves = self.leaves()
      let again = GradientRecording.$isOn.withValue(true) { packed(run(leaves)) }
      guard let next = again.node else { return }
      root = next
    }
  }

  /// A power of two, so that nothing is rounded by it, that depends on the gradient alone.
  private static func scale(for gradient: Tensor) -> Float {
    let largest = gradient.backend.largestMagnitude(gradient.operand, count: gradient.count)
    guard largest.isNormal else { return 1 }
    // Both the factor and what takes it out again are normal numbers.
    let exponent = min(max(Int(target.exponent) - Int(largest.exponent), -100), 100)
    return Float(sign: .plus, exponent: exponent, significand: 1)
  }

  private func unscaled(_ found: Tensor, by scale: Float) -> Tensor {
    let gradient = found.converted(to: outer)
    return scale == 1 ? gradient : gradient.scaled(by: 1 / scale)
  }
}

/// Gradients that wait to be examined together, as each examination waits for the device.
package struct GradientBatch {
  /// Of one that is examined.
  @TaskLocal package static var byteCount = 1 << 28

  private var found: [(place: Int, gradient: Tensor)] = []
  private var bytes = 0

  fileprivate var isFull: Bool { bytes >= Self.byteCount }

  fileprivate mutating func append(_ place: Int, _ gradient: Tensor) {
    found.append((place, gradient))
    bytes += gradient.count * gradient.format.byteCount
  }

  /// The last one, which memory then holds no more.
  fileprivate mutating func popLast() -> (place: Int, gradient: Tensor)? { found.popLast() }

  fileprivate var isFinite: Bool {
    guard let first = found.first else { return true }
    return first.gradient.backend.areFinite(
      found.map { ($0.gradient.operand, $0.gradient.count) })
  }
}
