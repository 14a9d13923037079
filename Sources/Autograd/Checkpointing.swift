/// The result of `body`, which is run again in the backward pass instead of keeping what it computes.
///
///     body(inputs)
///
/// Keeps the inputs alone, for the price of a second forward pass of this part. The gradients are those
/// of `body` itself, bit for bit, where each input is used by this part alone.
///
/// - Parameters:
///   - inputs: every tensor computed elsewhere that `body` depends on and that may need a gradient
///   - isOn: whether to; if not, `body` runs as it stands
///   - body: may use trainable leaves besides its inputs; must be deterministic
/// - Source: Chen et al. 2016, arXiv 1604.06174
public func checkpointed(
  _ inputs: [Tensor], if isOn: Bool = true, _ body: @escaping ([Tensor]) -> Tensor
) -> Tensor {
  guard isOn, GradientRecording.isOn else { return body(inputs) }
  let kept = inputs.map { (tensor: $0.detached, needsGradient: $0.requiresGradient) }
  func leaves() -> [Tensor] { kept.map { $0.needsGradient ? $0.tensor.trainable() : $0.tensor } }

  // The graph of this first run only shows which leaves take part; then it is dropped.
  let ownLeaves = leaves()
  let result = body(ownLeaves)
  guard let root = result.node else { return result }
  let own = Set(ownLeaves.compactMap { $0.node.map { ObjectIdentifier($0) } })
  let parameters = nodesInOrder(from: root).filter {
    $0.isLeaf && !own.contains(ObjectIdentifier($0))
  }
  let format = ActivationFormat.current
  let node = GradientNode(inputs: inputs.map(\.node) + parameters) { gradient in
    let leaves = leaves()
    let again = GradientRecording.$isOn.withValue(true) {
      ActivationFormat.$current.withValue(format) { body(leaves) }
    }
    guard let root = again.node else { return [] }
    return gradients(of: root, for: leaves.map(\.node) + parameters, outputGradient: gradient)
  }
  return result.detached.attached(to: node)
}
