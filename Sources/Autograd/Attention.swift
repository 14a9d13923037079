import Backends
import TensorCore

/// Scaled dot-product attention over several heads.
///
///     y = softmax(q k^T / sqrt(head width)) v
///
/// Heads lie side by side in the last axis. Scores are recomputed for the gradients, never stored.
///
/// - Parameters:
///   - query: `[batch, queries, heads * headWidth]`
///   - key, value: `[batch, keys, heads * headWidth]`
///   - isCausal: each query sees only keys up to its own place
/// - Returns: `[batch, queries, heads * headWidth]`
/// - Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.2
public func attention(
  query: Tensor, key: Tensor, value: Tensor, heads: Int, isCausal: Bool = false
) -> Tensor {
  let width = query.shape[2]
  precondition(
    key.shape == value.shape && key.shape[0] == query.shape[0] && key.shape[2] == width
      && width % heads == 0,
    "attention: query \(query.shape), key \(key.shape), value \(value.shape), \(heads) heads")
  let shape = AttentionShape(
    batch: query.shape[0], heads: heads, queryCount: query.shape[1], keyCount: key.shape[1],
    headWidth: width / heads, queryStride: width, keyStride: width, valueStride: width,
    outputStride: width, scale: 1 / Float(width / heads).squareRoot(), isCausal: isCausal)
  let backend = query.backend
  let result = Tensor(uninitialized: query.shape, like: query)
  let isRecorded = isRecording(query, key, value)
  let logSumExp =
    isRecorded
    ? Tensor(uninitialized: [shape.batch, heads, shape.queryCount], on: backend) : nil
  backend.perform(
    .attend(
      Attention(
        query: query.operand, key: key.operand, value: value.operand, into: result.operand,
        logSumExp: logSumExp?.operand, shape)))
  guard let logSumExp else { return result }
  let (q, k, v) = (query.detached, key.detached, value.detached)
  let output = result
  return result.recorded(from: [query, key, value]) { gradient in
    let queryGradient = Tensor(uninitialized: q.shape, like: q)
    let keyGradient = Tensor(uninitialized: k.shape, like: k)
    let valueGradient = Tensor(uninitialized: v.shape, like: v)
    backend.perform(
      .attendGradients(
        AttentionGradients(
          query: q.operand, key: k.operand, value: v.operand, output: output.operand,
          outputGradient: gradient.operand, logSumExp: logSumExp.operand,
          into: queryGradient.operand, keyGradient.operand, valueGradient.operand, shape)))
    return [queryGradient, keyGradient, valueGradient]
  }
}
