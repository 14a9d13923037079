/// The gradients of ``attend(query:key:value:into:logSumExp:_:)`` with respect to query, key and value.
///
/// They have the strides of query, key and value, and are overwritten. The probabilities
/// `P = exp(scale Q K^T - logSumExp)` are computed again, a block at a time:
///
///     dV = P^T dO,  dS = scale P (dO V^T - rowsum(dO O)),  dQ = dS K,  dK = dS^T Q
public func attendGradients(
  query: UnsafePointer<Float>, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
  output: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>,
  logSumExp: UnsafePointer<Float>, queryGradient: UnsafeMutablePointer<Float>,
  keyGradient: UnsafeMutablePointer<Float>, valueGradient: UnsafeMutablePointer<Float>,
  _ shape: AttentionShape
) {
  profiled("attention gradient", shape.label, flop: 5 * shape.multiplications) {
    let operands = AttentionOperands(
      query: query, key: key, value: value, output: output, outputGradient: outputGradient,
      logSumExp: logSumExp, shape)
    let work = 5 * shape.queryCount * shape.keyCount * (shape.headWidth + 16)
    parallelBlocks(shape.batch * shape.heads, work: work) { heads in
      let gradients = HeadGradients(operands)
      for head in heads {
        gradients.compute(head)
        gradients.copy(head, query: queryGradient, key: keyGradient, value: valueGradient)
      }
    }
  }
}

/// What the backward pass reads, and its factors in panels.
private struct AttentionOperands {
  let shape: AttentionShape
  let query: UnsafePointer<Float>
  let output: UnsafePointer<Float>
  let outputGradient: UnsafePointer<Float>
  let logSumExp: UnsafePointer<Float>
  let queryRows: HeadPanels
  let outputGradientRows: HeadPanels
  let keyRows: HeadPanels
  let keyColumns: HeadPanels
  let valueColumns: HeadPanels

  init(
    query: UnsafePointer<Float>, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
    output: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>,
    logSumExp: UnsafePointer<Float>, _ shape: AttentionShape
  ) {
    self.shape = shape
    self.query = query
    self.output = output
    self.outputGradient = outputGradient
    self.logSumExp = logSumExp
    let (queries, keys) = (shape.queryCount, shape.keyCount)
    queryRows = HeadPanels(query, count: queries, stride: shape.queryStride, .rows, shape)
    outputGradientRows = HeadPanels(
      outputGradient, count: queries, stride: shape.outputStride, .rows, shape)
    keyRows = HeadPanels(key, count: keys, stride: shape.keyStride, .rows, shape)
    keyColumns = HeadPanels(key, count: keys, stride: shape.keyStride, .transposed, shape)
    valueColumns = HeadPanels(value, count: keys, stride: shape.valueStride, .transposed, shape)
  }
}

/// The backward pass of one head at a time, in one thread's working memory.
private final class HeadGradients {
  private static let queriesAtOnce = 96
  /// A multiple of the width of panels.
  private static let keysAtOnce = 256

  private let operands: AttentionOperands
  private let shape: AttentionShape
  private let worker = TileWorker()
  /// `[queriesAtOnce, keysAtOnce]` in rows of `blockStride` floats: probabilities, and the gradients
  /// first of them, then of the scores.
  private let probabilities: Storage
  private let scoreGradients: Storage
  private let blockStride: Int
  /// `[tokens, width]` in rows of whole vectors.
  private let queryGradient: Storage
  private let keyGradient: Storage
  private let valueGradient: Storage
  private let width: Int

  init(_ operands: AttentionOperands) {
    self.operands = operands
    shape = operands.shape
    width = operands.keyRows.paddedColumns
    // The odd 16 keep the rows of a block from sharing a few lines of the first-level cache.
    blockStride = min(Self.keysAtOnce, operands.keyColumns.paddedColumns) + 16
    let blockCount = min(Self.queriesAtOnce, shape.queryCount) * blockStride
    probabilities = Storage(count: blockCount)
    scoreGradients = Storage(count: blockCount)
    queryGradient = Storage(count: shape.queryCount * width)
    keyGradient = Storage(count: shape.keyCount * width)
    valueGradient = Storage(count: shape.keyCount * width)
  }

  func compute(_ head: Int) {
    for gradient in [queryGradient, keyGradient, valueGradient] {
      gradient.pointer.update(repeating: 0, count: gradient.count)
    }
    for start in stride(from: 0, to: shape.queryCount, by: Self.queriesAtOnce) {
      let queries = start..<min(start + Self.queriesAtOnce, shape.queryCount)
      let keyCount = shape.visibleKeys(queries)
      for first in stride(from: 0, to: keyCount, by: Self.keysAtOnce) {
        add(head, queries, first..<min(first + Self.keysAtOnce, keyCount))
      }
    }
  }

  /// Adds what some queries and some keys have to do with each other.
  private func add(_ head: Int, _ queries: Range<Int>, _ keys: Range<Int>) {
    let (image, index) = head.quotientAndRemainder(dividingBy: shape.heads)
    let firstQuery = image * shape.queryCount + queries.lowerBound
    let offset = index * shape.headWidth
    let outputOffset = firstQuery * shape.outputStride + offset
    operands.keyColumns.multiply(
      head, keys, operands.query + firstQuery * shape.queryStride + offset,
      leftStride: shape.queryStride,
      count: queries.count, into: probabilities.pointer, outputStride: blockStride, worker)
    operands.valueColumns.multiply(
      head, keys, operands.outputGradient + outputOffset,
      leftStride: shape.outputStride, count: queries.count, into: scoreGradients.pointer,
      outputStride: blockStride, worker)

    for (row, query) in queries.enumerated() {
      let token = outputOffset + row * shape.outputStride
      differentiateSoftmax(
        row, keys, visible: shape.visibleKeys(query..<query + 1),
        logSumExp: operands.logSumExp[head * shape.queryCount + query],
        mean: Float(
          dotProduct(
            operands.output + token, operands.outputGradient + token, count: shape.headWidth)))
    }

    operands.outputGradientRows.multiply(
      head, queries, probabilities.pointer, leftStride: 1, leftStep: blockStride,
      count: keys.count,
      into: valueGradient.pointer + keys.lowerBound * width, outputStride: width, isAdding: true,
      worker)
    operands.keyRows.multiply(
      head, keys, scoreGradients.pointer, leftStride: blockStride, count: queries.count,
      into: queryGradient.pointer + queries.lowerBound * width,
      outputStride: width, isAdding: true, worker)
    operands.queryRows.multiply(
      head, queries, scoreGradients.pointer, leftStride: 1, leftStep: blockStride,
      count: keys.count,
      into: keyGradient.pointer + keys.lowerBound * width, outputStride: width, isAdding: true,
      worker)
  }

  /// Turns one query's scores into probabilities, and their gradients into those of the scores.
  private func differentiateSoftmax(
    _ row: Int, _ keys: Range<Int>, visible: Int, logSumExp: Float, mean: Float
  ) {
    let p = probabilities.pointer + row * blockStride
    let dS = scoreGradients.pointer + row * blockStride
    let count = max(0, min(keys.upperBound, visible) - keys.lowerBound)
    let scale = Vector(repeating: shape.scale)
    let powerScale = Vector(repeating: shape.scale * binaryLogarithmOfE)
    let shift = Vector(repeating: -logSumExp * binaryLogarithmOfE)
    let mean = Vector(repeating: mean)
    // The rows are filled up to whole vectors.
    for index in stride(from: 0, to: count, by: 8) {
      let probability = powerOfTwoUpToZero(shift.addingProduct(loadVector(p + index), powerScale))
      storeVector(probability, to: p + index)
      storeVector(probability * (loadVector(dS + index) - mean) * scale, to: dS + index)
    }
    (p + count).update(repeating: 0, count: keys.count - count)
    (dS + count).update(repeating: 0, count: keys.count - count)
  }

  /// Writes the gradients of a head where they belong.
  func copy(
    _ head: Int, query: UnsafeMutablePointer<Float>, key: UnsafeMutablePointer<Float>,
    value: UnsafeMutablePointer<Float>
  ) {
    let (image, index) = head.quotientAndRemainder(dividingBy: shape.heads)
    let offset = index * shape.headWidth
    func copy(
      _ gradient: Storage, _ target: UnsafeMutablePointer<Float>, _ count: Int, _ stride: Int
    ) {
      for token in 0..<count {
        (target + (image * count + token) * stride + offset).update(
          from: gradient.pointer + token * width, count: shape.headWidth)
      }
    }
    copy(queryGradient, query, shape.queryCount, shape.queryStride)
    copy(keyGradient, key, shape.keyCount, shape.keyStride)
    copy(valueGradient, value, shape.keyCount, shape.valueStride)
  }
}
