import Backends
import TensorCore

/// One recorded operation, or a leaf.
final class GradientNode {
  /// The nodes of the operation's inputs; nil where an input needs no gradient.
  private(set) var inputs: [GradientNode?]
  private var backward: Rule?

  /// From the gradient of the output to the gradients of the inputs, in the order of `inputs`.
  private enum Rule {
    case allAtOnce((Tensor) -> [Tensor?])
    case oneByOne((Tensor, _ handOn: (Int, Tensor) -> Void) -> Void)
  }

  /// A leaf.
  init() { inputs = [] }

  init(inputs: [GradientNode?], backward: @escaping (Tensor) -> [Tensor?]) {
    self.inputs = inputs
    self.backward = .allAtOnce(backward)
  }

  /// A rule that hands on the gradient of each input, by its place, as soon as it is known, so that memory need
  /// not hold them all.
  init(
    inputs: [GradientNode?],
    handingOn backward: @escaping (Tensor, _ handOn: (Int, Tensor) -> Void) -> Void
  ) {
    self.inputs = inputs
    self.backward = .oneByOne(backward)
  }

  var isLeaf: Bool { inputs.isEmpty }

  /// Runs the rule and forgets it, with everything it had saved.
  func takeInputGradients(
    for outputGradient: Tensor, _ handOn: (GradientNode, Tensor) -> Void
  ) {
    let targets = inputs
    func handOnTo(_ index: Int, _ gradient: Tensor) {
      if let target = targets[index] { handOn(target, gradient) }
    }
    switch backward {
    case .none: return
    case .oneByOne(let rule):
      rule(outputGradient, handOnTo)
      forget()
    case .allAtOnce(let rule):
      var found = Array(rule(outputGradient).enumerated().reversed())
      forget()
      // Each is let go of once it was handed on.
      while let (index, gradient) = found.popLast() {
        if let gradient { handOnTo(index, gradient) }
      }
    }
  }

  private func forget() {
    backward = nil
    inputs = []
  }
}

/// Whether operations record how to differentiate them.
public enum GradientRecording {
  @TaskLocal static var isOn = true
}

/// Runs `body` without recording: parameters count as constants and nothing is saved.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
  try GradientRecording.$isOn.withValue(false, operation: body)
}

extension Tensor {
  /// The result of an operation with its gradient rule.
  ///
  /// - Parameters:
  ///   - inputs: the tensors that the result depends on
  ///   - backward: from the output's gradient to one gradient for each input, nil where
  ///     that input does not require one; must capture no more than it needs
  func recorded(from inputs: [Tensor], backward: @escaping (Tensor) -> [Tensor?]) -> Tensor {
    attached(to: GradientNode(inputs: inputs.map(\.node), backward: backward))
  }

  /// The same values at another place in the graph.
  func attached(to node: GradientNode) -> Tensor {
    Tensor(shape: shape, storage: storage, offset: offset, node: node)
  }
}

/// Whether an operation on these inputs has to be recorded.
func isRecording(_ inputs: Tensor...) -> Bool {
  inputs.contains(where: \.requiresGradient) && GradientRecording.isOn
}

func isRecording(_ inputs: [Tensor]) -> Bool {
  inputs.contains(where: \.requiresGradient) && GradientRecording.isOn
}

/// The gradients of `output` with respect to each of `leaves`, nil for a leaf that does not take part.
///
/// Walks the recorded graph once, from the output back, and dissolves it on the way.
///
/// - Parameter outputGradient: the gradient that arrives at `output`; 1 for a scalar by default
public func gradients(
  of output: Tensor, for leaves: [Tensor], outputGradient: Tensor? = nil
) -> [Tensor?] {
  guard let root = output.node else { return leaves.map { _ in nil } }
  precondition(
    outputGradient.map { $0.shape == output.shape } ?? (output.count == 1),
    "an output of shape \(output.shape) needs an output gradient of that shape")
  return gradients(
    of: root, for: leaves.map(\.node),
    outputGradient: outputGradient ?? Tensor(repeating: 1, shape: output.shape, on: output.backend))
}

/// Adds the gradients of a scalar to `sums`, one for each leaf, where nil counts as 0.
///
/// Each gradient is added as it is found, so that memory holds those of all leaves once, not twice.
public func addGradients(of output: Tensor, for leaves: [Tensor], to sums: inout [Tensor?]) {
  precondition(output.count == 1 && sums.count == leaves.count, "one sum for each leaf")
  guard let root = output.node else { return }
  var pending: [ObjectIdentifier: Tensor] = [:]
  for (index, leaf) in leaves.enumerated() {
    guard let node = leaf.node else { continue }
    pending[ObjectIdentifier(node)] = sums[index]
    // Now the dictionary alone holds it, and lets go of it when a larger sum takes its place.
    sums[index] = nil
  }
  var apart: [ObjectIdentifier: [Tensor]] = [:]
  backpropagate(
    from: root, Tensor(repeating: 1, shape: output.shape, on: output.backend), &pending,
    keeping: &apart)
  sums = leaves.map { leaf in leaf.node.flatMap { pending[ObjectIdentifier($0)] } }
}

/// Returns what ``addGradients(of:for:to:)`` would add to the sum of each leaf, in order; empty for
/// a leaf that does not take part.
public func gradientTerms(of output: Tensor, for leaves: [Tensor]) -> [[Tensor]] {
  precondition(output.count == 1, "the gradients of \(output.count) numbers")
  guard let root = output.node else { return leaves.map { _ in [] } }
  var pending: [ObjectIdentifier: Tensor] = [:]
  var terms: [ObjectIdentifier: [Tensor]] = [:]
  for case let node? in leaves.map(\.node) { terms[ObjectIdentifier(node)] = [] }
  backpropagate(
    from: root, Tensor(repeating: 1, shape: output.shape, on: output.backend), &pending,
    keeping: &terms)
  return leaves.map { leaf in leaf.node.flatMap { terms[ObjectIdentifier($0)] } ?? [] }
}

/// Adds one of these to a sum, as ``addGradients(of:for:to:)`` does.
public func addGradient(_ term: Tensor, to sum: inout Tensor?) { accumulate(term, into: &sum) }

/// The same as the gradients of tensors, for nodes; nil for a leaf without one.
func gradients(
  of root: GradientNode, for leaves: [GradientNode?], outputGradient: Tensor
) -> [Tensor?] {
  var pending: [ObjectIdentifier: Tensor] = [:]
  var apart: [ObjectIdentifier: [Tensor]] = [:]
  backpropagate(from: root, outputGradient, &pending, keeping: &apart)
  return leaves.map { leaf in leaf.flatMap { pending[ObjectIdentifier($0)] } }
}

/// The same, each handed on by its leaf's place as soon as nothing more is added to it.
func gradients(
  of root: GradientNode, for leaves: [GradientNode?], outputGradient: Tensor,
  handingOn handOn: (Int, Tensor) -> Void
) {
  var places: [ObjectIdentifier: Int] = [:]
  for (place, leaf) in leaves.enumerated() {
    if let leaf { places[ObjectIdentifier(leaf)] = place }
  }
  // The walk meets the first user of a leaf last.
  var unused = places
  var lastUses: [ObjectIdentifier: [ObjectIdentifier]] = [:]
  for node in nodesInOrder(from: root) {
    for case let input? in node.inputs {
      let key = ObjectIdentifier(input)
      if unused.removeValue(forKey: key) != nil {
        lastUses[ObjectIdentifier(node), default: []].append(key)
      }
    }
  }
  var pending: [ObjectIdentifier: Tensor] = [:]
  var apart: [ObjectIdentifier: [Tensor]] = [:]
  backpropagate(from: root, outputGradient, &pending, keeping: &apart) { node, pending in
    for key in lastUses[ObjectIdentifier(node)] ?? [] {
      guard let place = places[key], let found = pending.removeValue(forKey: key) else { continue }
      handOn(place, found)
    }
  }
}

/// Walks the graph from `root` back and leaves the gradients of the leaves, added to what there is of
/// them, in `pending`; those of nodes in `terms` each for itself there.
///
/// - Parameter passed: called after each node
private func backpropagate(
  from root: GradientNode, _ outputGradient: Tensor, _ pending: inout [ObjectIdentifier: Tensor],
  keeping terms: inout [ObjectIdentifier: [Tensor]],
  passed: (GradientNode, inout [ObjectIdentifier: Tensor]) -> Void = { _, _ in }
) {
  accumulate(outputGradient, into: &pending[ObjectIdentifier(root)])
  for node in nodesInOrder(from: root).reversed() where !node.isLeaf {
    if let gradient = pending.removeValue(forKey: ObjectIdentifier(node)) {
      node.takeInputGradients(for: gradient) { input, inputGradient in
        let place = ObjectIdentifier(input)
        if terms[place]?.append(inputGradient) == nil {
          accumulate(inputGradient, into: &pending[place])
        }
      }
    }
    passed(node, &pending)
  }
}

/// Adds `gradient` to `total`, in place: what `total` holds is never shared once it was summed.
private func accumulate(_ gradient: Tensor, into total: inout Tensor?) {
  guard let current = total else {
    total = gradient
    return
  }
  // The first arrival may be shared with another node, so the first sum is a new tensor.
  let sum = Tensor(uninitialized: current.shape, like: current)
  sum.backend.perform(
    .combine(
      .add, current.operand, gradient.operand, into: sum.operand,
      Broadcast(outer: sum.count, repeats: 1, inner: 1)))
  total = sum
}

/// All nodes that `root` depends on, each after its inputs.
///
/// Iterative: graphs are deep.
func nodesInOrder(from root: GradientNode) -> [GradientNode] {
  var order: [GradientNode] = []
  var seen: Set<ObjectIdentifier> = [ObjectIdentifier(root)]
  var stack: [(node: GradientNode, nextInput: Int)] = [(root, 0)]
  while let top = stack.last {
    guard top.nextInput < top.node.inputs.count else {
      order.append(top.node)
      stack.removeLast()
      continue
    }
    stack[stack.count - 1].nextInput += 1
    if let input = top.node.inputs[top.nextInput],
      seen.insert(ObjectIdentifier(input)).inserted
    {
      stack.append((input, 0))
    }
  }
  return order
}
