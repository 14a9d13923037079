import HostResources

/// The gradients of ``attend(query:key:value:into:logSumExp:_:)`` with respect to query, key and value.
///
/// They have the strides of query, key and value, and are overwritten. The probabilities `P =
/// exp(scale Q K^T - logSumExp)` are recomputed block by block:
///
///     dV = P^T dO,  dS = scale P (dO V^T - rowsum(dO O)),  dQ = dS K,  dK = dS^T Q
public func attendGradients(
  query: UnsafePointer<Float>, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
  output: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>,
  logSumExp: UnsafePointer<Float>, queryGradient: UnsafeMutablePointer<Float>,
  keyGradient: UnsafeMutablePointer<Float>, valueGradient: UnsafeMutablePointer<Float>,
  _ shape: AttentionShape, form: TileForm = .native
) {
  let operands = AttentionOperands(
    query: query, output: output, outputGradient: outputGradient, logSumExp: logSumExp,
    keys: HeadTokens(key, stride: shape.keyStride, shape),
    values: HeadTokens(value, stride: shape.valueStride, shape))
  let work = 5 * shape.queryCount * shape.keyCount * (shape.headWidth + 16)
  parallelBlocks(shape.batch * shape.heads, work: work) { heads in
    var gradients = HeadGradients(shape, operands, form)
    for head in heads {
      gradients.compute(head)
      gradients.copy(head, query: queryGradient, key: keyGradient, value: valueGradient)
    }
  }
}

/// The inputs of the backward pass.
struct AttentionOperands {
  let query: UnsafePointer<Float>
  let output: UnsafePointer<Float>
  let outputGradient: UnsafePointer<Float>
  let logSumExp: UnsafePointer<Float>
  let keys: HeadTokens
  let values: HeadTokens
}

/// The backward pass, head by head, in one thread's working memory.
struct HeadGradients {
  static let keysAtOnce = 128
  /// The keys that all queries meet before the next block: with values and gradients, they stay in
  /// a second-level cache.
  private static let keysInCache = 512

  private let shape: AttentionShape
  private let operands: AttentionOperands
  private let worker: TileWorker
  /// Scaled so that the probabilities are powers of two.
  private var queryColumns: TokenColumns
  private var queryRows: TokenRows
  /// Scaled like the scores.
  private var outputGradientColumns: TokenColumns
  private var outputGradientRows: TokenRows
  /// The initial values of the sums for each query's scores and their gradients: the log-sum-exp,
  /// and the mean gradient of the probabilities, both negated.
  private let firstScores: HostMemory
  private let firstGradients: HostMemory
  /// `[keysAtOnce, blockStride]`: scores, then probabilities; and the gradients of the scores.
  private let probabilities: HostMemory
  private let scoreGradients: HostMemory
  private let blockStride: Int
  /// `[headWidth, panel]`.
  private let queryGradient: HostMemory
  /// Rows of whole vectors.
  private let keyGradient: HostMemory
  private let valueGradient: HostMemory

  init(_ shape: AttentionShape, _ operands: AttentionOperands, _ form: TileForm) {
    worker = TileWorker(form)
    self.shape = shape
    self.operands = operands
    let (memory, width) = (HeadGradientsMemory(shape), shape.headWidth)
    queryColumns = TokenColumns(form, count: memory.columns, headWidth: width)
    queryRows = TokenRows(form, count: memory.rows, headWidth: width)
    outputGradientColumns = TokenColumns(form, count: memory.columns, headWidth: width)
    outputGradientRows = TokenRows(form, count: memory.rows, headWidth: width)
    firstScores = HostMemory(count: memory.firstScores)
    firstGradients = HostMemory(count: memory.firstScores)
    blockStride = memory.blockStride
    probabilities = HostMemory(count: memory.scores)
    scoreGradients = HostMemory(count: memory.scores)
    queryGradient = HostMemory(count: memory.columns)
    keyGradient = HostMemory(count: memory.keyRows)
    valueGradient = HostMemory(count: memory.keyRows)
  }

  mutating func compute(_ head: Int) {
    takeQueries(head)
    for gradient in [queryGradient, keyGradient, valueGradient] {
      gradient.pointer.update(repeating: 0, count: gradient.count)
    }
    let panelsAtOnce = TokenColumns.columnsTogether / worker.form.attentionColumns
    for first in stride(from: 0, to: shape.keyCount, by: Self.keysInCache) {
      for start in stride(from: 0, to: queryColumns.panels.count, by: panelsAtOnce) {
        let panels = queryColumns.panels[start...].prefix(panelsAtOnce)
        let end = min(first + Self.keysInCache, shape.visibleKeys(queries(in: panels)))
        for start in stride(from: first, to: end, by: Self.keysAtOnce) {
          add(head, panels, start..<min(start + Self.keysAtOnce, end))
        }
      }
    }
  }

  private mutating func takeQueries(_ head: Int) {
    let (image, index) = head.quotientAndRemainder(dividingBy: shape.heads)
    let (count, offset) = (shape.queryCount, index * shape.headWidth)
    let query = operands.query + image * count * shape.queryStride + offset
    let output = operands.output + image * count * shape.outputStride + offset
    let gradient = operands.outputGradient + image * count * shape.outputStride + offset
    queryColumns.take(
      query, stride: shape.queryStride, count: count, scale: shape.scale * binaryLogarithmOfE)
    queryRows.take(query, stride: shape.queryStride, count: count)
    outputGradientColumns.take(
      gradient, stride: shape.outputStride, count: count, scale: shape.scale)
    outputGradientRows.take(gradient, stride: shape.outputStride, count: count)
    for first in [firstScores, firstGradients] {
      first.pointer.update(repeating: 0, count: first.count)
    }
    for row in 0..<count {
      let token = row * shape.outputStride
      let mean = dotProduct(output + token, gradient + token, count: shape.headWidth)
      firstScores.pointer[row] =
        -binaryLogarithmOfE * operands.logSumExp[head * count + row]
      firstGradients.pointer[row] = -shape.scale * Float(mean)
    }
  }

  /// The queries in some panels' columns.
  private func queries(in panels: ArraySlice<Range<Int>>) -> Range<Int> {
    let (first, end) = (panels.first?.lowerBound ?? 0, panels.last?.upperBound ?? 0)
    return first..<min(shape.queryCount, end)
  }

  /// Adds the mutual contributions of some queries and some keys.
  private func add(_ head: Int, _ panels: ArraySlice<Range<Int>>, _ keys: Range<Int>) {
    let width = shape.headWidth
    let queries = queries(in: panels)
    let key = operands.keys.pointer(head, keys.lowerBound)
    let value = operands.values.pointer(head, keys.lowerBound)
    for panel in panels {
      let place = panel.lowerBound - queries.lowerBound
      func multiply(
        _ left: UnsafePointer<Float>, leftStride: Int, _ right: TokenColumns,
        first: HostMemory, into block: HostMemory
      ) {
        worker.multiply(
          left, leftStride: leftStride, rows: keys.count, inner: width, right.pointer(panel),
          panelStride: panel.count, width: panel.count, into: block.pointer + place,
          outputStride: blockStride, initial: first.pointer + panel.lowerBound)
      }
      multiply(
        key, leftStride: operands.keys.stride, queryColumns, first: firstScores,
        into: probabilities)
      multiply(
        value, leftStride: operands.values.stride, outputGradientColumns, first: firstGradients,
        into: scoreGradients)
      if shape.isCausal { hide(keys, panel, at: place) }
      let wide = worker.form == .wide ? panel.count / 16 * 16 : 0
      for column in stride(from: 0, to: wide, by: 16) {
        differentiateSoftmax(SIMD16.self, keys.count, at: place + column)
      }
      for column in stride(from: wide, to: panel.count, by: 8) {
        differentiateSoftmax(SIMD8.self, keys.count, at: place + column)
      }
      worker.multiply(
        key, leftStride: 1, leftStep: operands.keys.stride, rows: width, inner: keys.count,
        scoreGradients.pointer + place, panelStride: blockStride, width: panel.count,
        into: queryGradient.pointer + panel.lowerBound * width, outputStride: panel.count,
        isAdding: true)
    }
    outputGradientRows.addProduct(
      probabilities.pointer, leftStride: blockStride, rows: keys.count, queries,
      into: valueGradient.pointer + keys.lowerBound * queryRows.columns, worker)
    queryRows.addProduct(
      scoreGradients.pointer, leftStride: blockStride, rows: keys.count, queries,
      into: keyGradient.pointer + keys.lowerBound * queryRows.columns, worker)
  }

  /// Masks the scores of keys that come after a query.
  private func hide(_ keys: Range<Int>, _ panel: Range<Int>, at place: Int) {
    for key in keys where key > panel.lowerBound {
      let row = probabilities.pointer + (key - keys.lowerBound) * blockStride + place
      for column in 0..<min(panel.count, key - panel.lowerBound) { row[column] = -.infinity }
    }
  }

  /// Turns the scores of a vector of queries into probabilities, and finishes the gradients of the scores.
  @inline(__always)
  private func differentiateSoftmax<Lanes: FloatVector>(
    _: Lanes.Type, _ keyCount: Int, at place: Int
  ) {
    var p = probabilities.pointer + place
    var dS = scoreGradients.pointer + place
    for _ in 0..<keyCount {
      let score: Lanes = load(p)
      let probability = powerOfTwoUpToZero(score)
      store(probability, to: p)
      store(probability * load(dS), to: dS)
      p += blockStride
      dS += blockStride
    }
  }

  /// Copies the gradients of a head to their destination.
  func copy(
    _ head: Int, query: UnsafeMutablePointer<Float>, key: UnsafeMutablePointer<Float>,
    value: UnsafeMutablePointer<Float>
  ) {
    let (image, index) = head.quotientAndRemainder(dividingBy: shape.heads)
    let (width, offset) = (shape.headWidth, index * shape.headWidth)
    let firstQuery = query + image * shape.queryCount * shape.queryStride + offset
    for panel in queryColumns.panels {
      transposeMatrix(
        queryGradient.pointer + panel.lowerBound * width, stride: panel.count, rows: width,
        columns: min(shape.queryCount, panel.upperBound) - panel.lowerBound,
        into: firstQuery + panel.lowerBound * shape.queryStride, targetStride: shape.queryStride)
    }
    func copy(_ gradient: HostMemory, _ target: UnsafeMutablePointer<Float>, stride: Int) {
      for token in 0..<shape.keyCount {
        (target + (image * shape.keyCount + token) * stride + offset).update(
          from: gradient.pointer + token * queryRows.columns, count: width)
      }
    }
    copy(keyGradient, key, stride: shape.keyStride)
    copy(valueGradient, value, stride: shape.valueStride)
  }
}
