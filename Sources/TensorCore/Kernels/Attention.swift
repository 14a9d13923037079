import Foundation

/// The sizes of one attention and where its tokens lie: token `t` of image `b` and head `h` begins
/// `(b * count + t) * stride + h * headWidth` floats after the pointer.
public struct AttentionShape: Equatable, Sendable {
  public var batch: Int
  public var heads: Int
  public var queryCount: Int
  public var keyCount: Int
  public var headWidth: Int
  /// Floats from one token to the next: `heads * headWidth` when nothing else lies between.
  public var queryStride: Int
  public var keyStride: Int
  public var valueStride: Int
  public var outputStride: Int
  public var scale: Float
  /// Query `i` sees only the keys `0...i`.
  public var isCausal: Bool

  /// Strides left out are those of packed tokens; the scale left out is `1 / sqrt(headWidth)`.
  public init(
    batch: Int, heads: Int, queryCount: Int, keyCount: Int, headWidth: Int,
    queryStride: Int? = nil, keyStride: Int? = nil, valueStride: Int? = nil,
    outputStride: Int? = nil, scale: Float? = nil, isCausal: Bool = false
  ) {
    self.batch = batch
    self.heads = heads
    self.queryCount = queryCount
    self.keyCount = keyCount
    self.headWidth = headWidth
    self.queryStride = queryStride ?? heads * headWidth
    self.keyStride = keyStride ?? heads * headWidth
    self.valueStride = valueStride ?? heads * headWidth
    self.outputStride = outputStride ?? heads * headWidth
    self.scale = scale ?? 1 / Float(max(1, headWidth)).squareRoot()
    self.isCausal = isCausal
  }

  /// Multiplications of the forward pass, masked ones included.
  public var multiplications: Int { 2 * batch * heads * queryCount * keyCount * headWidth }

  var label: String { "\(batch) x \(heads) heads of \(headWidth), \(queryCount) to \(keyCount)" }

  /// Keys that at least one of the queries sees.
  func visibleKeys(_ queries: Range<Int>) -> Int {
    isCausal ? min(keyCount, queries.upperBound) : keyCount
  }
}

/// `output = softmax(scale query key^T) value` for every image and head.
///
/// - Parameter logSumExp: `[batch, heads, queryCount]`, the logarithm of the softmax's denominator;
///   ``attendGradients(query:key:value:output:outputGradient:logSumExp:queryGradient:keyGradient:valueGradient:_:)``
///   needs it.
public func attend(
  query: UnsafePointer<Float>, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, logSumExp: UnsafeMutablePointer<Float>?,
  _ shape: AttentionShape
) {
  profiled("attention", shape.label, flop: 2 * shape.multiplications) {
    let keys = HeadPanels(key, count: shape.keyCount, stride: shape.keyStride, .transposed, shape)
    let values = HeadPanels(value, count: shape.keyCount, stride: shape.valueStride, .rows, shape)
    let size = min(AttentionBlock.queriesAtOnce, shape.queryCount)
    let blocks = (shape.queryCount + size - 1) / max(1, size)
    let work = 2 * size * shape.keyCount * (shape.headWidth + 16)
    parallelBlocks(shape.batch * shape.heads * blocks, work: work) { items in
      let block = AttentionBlock(shape, query: query, keys: keys, values: values)
      for item in items {
        // The heads of one query lie side by side: they are read together.
        let (part, ofImage) = item.quotientAndRemainder(dividingBy: shape.heads)
        let (image, index) = part.quotientAndRemainder(dividingBy: blocks)
        let head = image * shape.heads + ofImage
        let queries = index * size..<min(shape.queryCount, (index + 1) * size)
        block.attend(head, queries, into: output, logSumExp: logSumExp)
      }
    }
  }
}

/// The tokens of all heads as panels that tiles can be multiplied with.
struct HeadPanels {
  enum Layout {
    /// `[count, headWidth]`
    case rows
    /// `[headWidth, count]`
    case transposed
  }

  /// The squared length of each head's longest token, if they are transposed.
  let longestSquares: Storage
  private let layout: Layout
  private let storage: Storage
  private let rows: Int
  private let columns: Int

  /// `count` tokens of each image, `stride` floats apart.
  init(
    _ tokens: UnsafePointer<Float>, count: Int, stride: Int, _ layout: Layout,
    _ shape: AttentionShape
  ) {
    let width = shape.headWidth
    let (rows, columns) = layout == .rows ? (count, width) : (width, count)
    let headCount = rows * ((columns + 7) / 8 * 8)
    let storage = Storage(count: shape.batch * shape.heads * headCount)
    let squares = Storage(count: shape.batch * shape.heads)
    parallelBlocks(shape.batch * shape.heads, work: 4 * count * width) { heads in
      for head in heads {
        let (image, index) = head.quotientAndRemainder(dividingBy: shape.heads)
        let first = tokens + image * count * stride + index * width
        let source = PanelSource(
          .full(first), rows: rows, columns: columns, columnStride: layout == .rows ? 1 : stride,
          neighbours: layout == .rows ? 1 : rows
        ) { row in row * (layout == .rows ? stride : 1) }
        let target = storage.pointer + head * headCount
        var longest = Vector.zero
        switch layout {
        case .rows:
          for panel in 0..<TileProduct.panelCount(source.paddedColumns) {
            let columns = TileProduct.panel(panel, of: source.paddedColumns)
            source.copy(columns, rows: 0..<rows, into: target + columns.lowerBound * rows)
          }
        case .transposed:
          for panel in 0..<source.panelCount {
            let columns = source.columns(panel..<panel + 1)
            let target = target + columns.lowerBound * rows
            source.copy(columns, rows: 0..<rows, into: target)
            longest = Self.longestSquares(
              target, rows: rows, width: columns.count, atLeast: longest)
          }
        }
        squares.pointer[head] = (0..<8).reduce(0) { $0 > longest[$1] ? $0 : longest[$1] }
      }
    }
    self.layout = layout
    self.storage = storage
    longestSquares = squares
    self.rows = rows
    self.columns = columns
  }

  /// The larger ones of some squares and those of the lengths of a panel's columns, lane by lane.
  private static func longestSquares(
    _ panel: UnsafePointer<Float>, rows: Int, width: Int, atLeast: Vector
  ) -> Vector {
    var longest = atLeast
    for part in stride(from: 0, to: width, by: 8) {
      var squares = Vector.zero
      for row in 0..<rows {
        let values = loadVector(panel + row * width + part)
        squares = squares.addingProduct(values, values)
      }
      // Squares that are not numbers stay.
      longest = squares.replacing(with: longest, where: longest .> squares)
    }
    return longest
  }

  /// Columns filled up to whole vectors.
  var paddedColumns: Int { (columns + 7) / 8 * 8 }

  /// `output[count, columns] (+)= left[count, rows] panels[rows, columns]`, where some of the tokens are the
  /// rows, or the columns if they are transposed; of the columns, whole vectors are written.
  func multiply(
    _ head: Int, _ tokens: Range<Int>,
    _ left: UnsafePointer<Float>, leftStride: Int, leftStep: Int = 1, count: Int,
    into output: UnsafeMutablePointer<Float>, outputStride: Int, isAdding: Bool = false,
    _ worker: TileWorker
  ) {
    let used = layout == .rows ? tokens : 0..<rows
    let first = layout == .rows ? 0 : tokens.lowerBound
    func multiply(_ panel: Range<Int>) {
      worker.multiply(
        left, leftStride: leftStride, leftStep: leftStep, rows: count, inner: used.count,
        storage.pointer + (head * paddedColumns + panel.lowerBound) * rows
          + used.lowerBound * panel.count,
        panelStride: panel.count, width: panel.count, into: output + panel.lowerBound - first,
        outputStride: outputStride, isAdding: isAdding)
    }
    switch layout {
    case .rows:
      for panel in 0..<TileProduct.panelCount(paddedColumns) {
        multiply(TileProduct.panel(panel, of: paddedColumns))
      }
    case .transposed:
      for column in stride(from: first, to: tokens.upperBound, by: TileProduct.columns) {
        multiply(column..<min(column + TileProduct.columns, paddedColumns))
      }
    }
  }
}

/// A few queries of one head against all keys, a stretch of keys at a time.
///
/// The softmax runs along: with the maximum of the scores seen so far, earlier sums are scaled down
/// whenever it grows.
private final class AttentionBlock {
  static let queriesAtOnce = 96
  /// A multiple of the width of panels.
  static let keysAtOnce = 512

  private let shape: AttentionShape
  private let query: UnsafePointer<Float>
  private let keys: HeadPanels
  private let values: HeadPanels
  private let worker = TileWorker()
  /// Rows of `scoreStride` floats.
  private let scores: Storage
  private let scoreStride: Int
  /// The sums of values for each query, in rows of whole vectors.
  private let sums: Storage
  /// For each query the maximum of its scores and the sum of their exponentials.
  private let maxima: Storage
  private let totals: Storage

  init(
    _ shape: AttentionShape, query: UnsafePointer<Float>, keys: HeadPanels, values: HeadPanels
  ) {
    self.shape = shape
    self.query = query
    self.keys = keys
    self.values = values
    let queries = min(Self.queriesAtOnce, shape.queryCount)
    scoreStride = min(Self.keysAtOnce, keys.paddedColumns) + 16
    scores = Storage(count: queries * scoreStride)
    sums = Storage(count: queries * values.paddedColumns)
    maxima = Storage(count: queries)
    totals = Storage(count: queries)
  }

  func attend(
    _ head: Int, _ queries: Range<Int>, into output: UnsafeMutablePointer<Float>,
    logSumExp: UnsafeMutablePointer<Float>?
  ) {
    let (image, index) = head.quotientAndRemainder(dividingBy: shape.heads)
    let firstQuery = image * shape.queryCount + queries.lowerBound
    let offset = index * shape.headWidth
    let isBounded = boundsScores(
      head, queries.count, at: query + firstQuery * shape.queryStride + offset)
    maxima.pointer.update(repeating: isBounded ? 0 : -.infinity, count: queries.count)
    totals.pointer.update(repeating: 0, count: queries.count)
    sums.pointer.update(repeating: 0, count: queries.count * values.paddedColumns)

    let keyCount = shape.visibleKeys(queries)
    for start in stride(from: 0, to: keyCount, by: Self.keysAtOnce) {
      let stretch = start..<min(keyCount, start + Self.keysAtOnce)
      keys.multiply(
        head, stretch, query + firstQuery * shape.queryStride + offset,
        leftStride: shape.queryStride,
        count: queries.count, into: scores.pointer, outputStride: scoreStride, worker)
      exponentiate(queries, stretch, isBounded: isBounded)
      values.multiply(
        head, stretch, scores.pointer, leftStride: scoreStride, count: queries.count,
        into: sums.pointer,
        outputStride: values.paddedColumns, isAdding: true, worker)
    }

    for row in 0..<queries.count {
      let total = totals.pointer[row]
      scaleRow(
        sums.pointer + row * values.paddedColumns, by: 1 / total,
        into: output + (firstQuery + row) * shape.outputStride + offset, count: shape.headWidth)
      if let logSumExp {
        logSumExp[head * shape.queryCount + queries.lowerBound + row] =
          maxima.pointer[row] + log(total)
      }
    }
  }

  /// Whether the scores of some queries are so small that their exponentials need no scaling down.
  ///
  ///     |q k| <= |q| |k|
  private func boundsScores(_ head: Int, _ count: Int, at first: UnsafePointer<Float>) -> Bool {
    // The weight of a single key is exactly 1 this way.
    guard shape.keyCount > 1 else { return false }
    let limit = 900 / (shape.scale * shape.scale * keys.longestSquares.pointer[head])
    for row in 0..<count {
      let query = first + row * shape.queryStride
      var squares = Vector.zero
      let whole = shape.headWidth / 8 * 8
      for index in stride(from: 0, to: whole, by: 8) {
        let part = loadVector(query + index)
        squares = squares.addingProduct(part, part)
      }
      var square = squares.sum()
      for index in whole..<shape.headWidth { square += query[index] * query[index] }
      // Not NaN either.
      guard square <= limit else { return false }
    }
    return true
  }

  /// Replaces scores by `exp(scale score - maximum)`, and those of invisible keys by 0.
  ///
  /// - Parameter isBounded: whether 0 will do for the maximum
  private func exponentiate(_ queries: Range<Int>, _ keys: Range<Int>, isBounded: Bool) {
    for (row, query) in queries.enumerated() {
      let scores = scores.pointer + row * scoreStride
      let visible = shape.visibleKeys(query..<query + 1)
      let count = max(0, min(keys.upperBound, visible) - keys.lowerBound)
      guard count > 0 else {
        scores.update(repeating: 0, count: keys.count)
        continue
      }
      if !isBounded { raiseMaximum(row, scores, count: count, isFirst: keys.lowerBound == 0) }
      totals.pointer[row] += exponentiateRow(
        scores, count: count, scale: shape.scale, shift: -maxima.pointer[row])
      (scores + count).update(repeating: 0, count: keys.count - count)
    }
  }

  /// Takes new scores into account, scaling down earlier sums if the maximum grows.
  private func raiseMaximum(
    _ row: Int, _ scores: UnsafePointer<Float>, count: Int, isFirst: Bool
  ) {
    let maximum = max(maxima.pointer[row], largest(scores, count: count, scale: shape.scale))
    if !isFirst {
      let shrink = exp(maxima.pointer[row] - maximum)
      totals.pointer[row] *= shrink
      let row = sums.pointer + row * values.paddedColumns
      scaleRow(row, by: shrink, into: row, count: values.paddedColumns)
    }
    maxima.pointer[row] = maximum
  }
}

// Rows of scores are filled up to whole vectors, so the loops below need no partial ones.

/// Replaces values by `exp(scale value + shift)` and returns the sum of the results.
@inline(never)
private func exponentiateRow(
  _ values: UnsafeMutablePointer<Float>, count: Int, scale: Float, shift: Float
) -> Float {
  let scales = Vector(repeating: scale * binaryLogarithmOfE)
  let shifts = Vector(repeating: shift * binaryLogarithmOfE)
  var total = Vector.zero
  let whole = (count - 1) / 8 * 8
  var index = 0
  while index < whole {
    let power = powerOfTwoUpToZero(shifts.addingProduct(loadVector(values + index), scales))
    storeVector(power, to: values + index)
    total += power
    index += 8
  }
  var last = powerOfTwoUpToZero(shifts.addingProduct(loadVector(values + index), scales))
  storeVector(last, to: values + index)
  last.replace(with: 0, where: lanes .>= Float(count - whole))
  return (total + last).sum()
}

/// The largest of `scale` times the values.
@inline(never)
private func largest(_ values: UnsafePointer<Float>, count: Int, scale: Float) -> Float {
  let scales = Vector(repeating: scale)
  var result = Vector(repeating: -.infinity)
  var last = result
  for index in stride(from: 0, to: count, by: 8) {
    result.replace(with: last, where: last .> result)
    last = loadVector(values + index) * scales
  }
  last.replace(with: -.infinity, where: lanes .>= Float((count - 1) % 8 + 1))
  result.replace(with: last, where: last .> result)
  // Vector.max() is a function call that compares lane by lane.
  var largest = result[0]
  for lane in 1..<8 where result[lane] > largest { largest = result[lane] }
  return largest
}

private var lanes: Vector { Vector(0, 1, 2, 3, 4, 5, 6, 7) }

@inline(__always)
private func scaleRow(
  _ row: UnsafePointer<Float>, by factor: Float, into target: UnsafeMutablePointer<Float>,
  count: Int
) {
  let factors = Vector(repeating: factor)
  mapVectors(row, into: target, count: count) { $0 * factors }
}
