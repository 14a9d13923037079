import Foundation
import HostResources

/// A few queries of one head against all keys, processed in blocks of keys.
///
/// Queries are columns: the scores of a panel of queries and a block of keys stay in cache, and
/// each query's softmax is computed in its own lane. With the running maximum of the scores,
/// earlier sums are scaled down whenever it grows.
final class AttentionBlock {
  static let queriesAtOnce = TokenColumns.columnsTogether
  /// The scores of 24 queries and this many keys fill three eighths of a 32 KB first-level cache,
  /// those of 48 half of a 48 KB one.
  static let keysAtOnce = 128

  private let shape: AttentionShape
  private let keys: HeadTokens
  private let keyLengths: KeyLengths?
  private let values: HeadTokens
  private let worker: TileWorker
  /// Scaled so that the weights are powers of two.
  private var queries: TokenColumns
  /// The scores of one panel of queries, `[keysAtOnce, panel]`.
  private let scores: HostMemory
  /// The sums of values for each query, `[headWidth, panel]`.
  private let sums: HostMemory
  /// For each query the maximum of its scores and the sum of their powers.
  private let maxima: HostMemory
  private let totals: HostMemory

  /// - Parameter keyLengths: with which the scores may be shown to be small
  init(
    _ shape: AttentionShape, keys: HeadTokens, _ keyLengths: KeyLengths?, values: HeadTokens,
    _ form: TileForm
  ) {
    worker = TileWorker(form)
    self.shape = shape
    self.keys = keys
    self.keyLengths = keyLengths
    self.values = values
    let memory = AttentionBlockMemory(shape, form)
    queries = TokenColumns(form, count: memory.queries, headWidth: shape.headWidth)
    scores = HostMemory(count: memory.scores)
    sums = HostMemory(count: memory.queries)
    maxima = HostMemory(count: memory.maxima)
    totals = HostMemory(count: memory.maxima)
  }

  /// - Parameters:
  ///   - head: the index among all images' heads
  ///   - range: the positions of the queries within their image
  ///   - query: the first of them; `output` and `logSumExp` receive its results
  func attend(
    _ head: Int, _ range: Range<Int>, _ query: UnsafePointer<Float>,
    into output: UnsafeMutablePointer<Float>, logSumExp: UnsafeMutablePointer<Float>?
  ) {
    let scale = shape.scale * binaryLogarithmOfE
    queries.take(query, stride: shape.queryStride, count: range.count, scale: scale)
    let isBounded =
      keyLengths.map { lengths in
        let longest = longestSquare(
          query, stride: shape.queryStride, count: range.count, width: shape.headWidth)
        return lengths.boundsProducts(head, withLongestSquare: scale * scale * longest)
      } ?? false
    for storage in [sums, maxima, totals] {
      storage.pointer.update(repeating: 0, count: storage.count)
    }
    let keyCount = shape.visibleKeys(range)
    for start in stride(from: 0, to: keyCount, by: Self.keysAtOnce) {
      let stretch = start..<min(keyCount, start + Self.keysAtOnce)
      for panel in queries.panels {
        add(head, stretch, panel, firstQuery: range.lowerBound, isBounded: isBounded)
      }
    }
    for panel in queries.panels { finish(panel, into: output) }
    if let logSumExp {
      for row in 0..<range.count {
        logSumExp[row] =
          maxima.pointer[row] / binaryLogarithmOfE + log(totals.pointer[row])
      }
    }
  }

  /// Adds the contribution of some keys to a panel of queries.
  private func add(
    _ head: Int, _ keys: Range<Int>, _ panel: Range<Int>, firstQuery: Int, isBounded: Bool
  ) {
    let (width, headWidth) = (panel.count, shape.headWidth)
    worker.multiply(
      self.keys.pointer(head, keys.lowerBound), leftStride: self.keys.stride, rows: keys.count,
      inner: headWidth, queries.pointer(panel), panelStride: width, width: width,
      into: scores.pointer,
      outputStride: width)
    if shape.isCausal { hide(keys, firstQuery + panel.lowerBound, width: width) }
    let wide = worker.form == .wide ? width / 16 * 16 : 0
    for column in stride(from: 0, to: wide, by: 16) {
      addPowers(SIMD16.self, keys, panel, column: column, isBounded: isBounded)
    }
    for column in stride(from: wide, to: width, by: 8) {
      addPowers(SIMD8.self, keys, panel, column: column, isBounded: isBounded)
    }
    worker.multiply(
      values.pointer(head, keys.lowerBound), leftStride: 1, leftStep: values.stride,
      rows: headWidth, inner: keys.count, scores.pointer, panelStride: width, width: width,
      into: sums.pointer + panel.lowerBound * headWidth, outputStride: width, isAdding: true)
  }

  /// Turns the scores of a vector of queries into weights and sums those.
  @inline(__always)
  private func addPowers<Lanes: FloatVector>(
    _: Lanes.Type, _ keys: Range<Int>, _ panel: Range<Int>, column: Int, isBounded: Bool
  ) {
    let total = totals.pointer + panel.lowerBound + column
    var shift = Lanes.zero
    if !isBounded { shift = raiseMaxima(keys, panel, column: column) }
    let added = raiseTwo(
      scores.pointer + column, stride: panel.count, count: keys.count, shift: shift,
      isBounded: isBounded)
    store(load(total) + added, to: total)
  }

  /// Masks the scores of keys that come after a query.
  private func hide(_ keys: Range<Int>, _ firstQuery: Int, width: Int) {
    for key in max(keys.lowerBound, firstQuery + 1)..<max(keys.upperBound, firstQuery + 1) {
      let row = scores.pointer + (key - keys.lowerBound) * width
      for column in 0..<min(width, key - firstQuery) { row[column] = -.infinity }
    }
  }

  /// Updates the running maxima of a vector of queries with the new scores, scaling down earlier
  /// sums if they grow; returns the maxima.
  @inline(__always)
  private func raiseMaxima<Lanes: FloatVector>(
    _ keys: Range<Int>, _ panel: Range<Int>, column: Int
  ) -> Lanes {
    let place = panel.lowerBound + column
    var maximum: Lanes = largest(scores.pointer + column, stride: panel.count, count: keys.count)
    if keys.lowerBound > 0 {
      let earlier: Lanes = load(maxima.pointer + place)
      maximum = earlier.orLarger(maximum)
      let shrink = powerOfTwoUpToZero(earlier - maximum)
      store(load(totals.pointer + place) * shrink, to: totals.pointer + place)
      let sums = sums.pointer + panel.lowerBound * shape.headWidth + column
      for row in 0..<shape.headWidth {
        let sum = sums + row * panel.count
        store(load(sum) * shrink, to: sum)
      }
    }
    store(maximum, to: maxima.pointer + place)
    return maximum
  }

  /// Divides a panel's sums by their totals and writes them as tokens.
  private func finish(_ panel: Range<Int>, into output: UnsafeMutablePointer<Float>) {
    let sums = sums.pointer + panel.lowerBound * shape.headWidth
    for column in stride(from: 0, to: panel.count, by: 8) {
      let factor = 1 / loadVector(totals.pointer + panel.lowerBound + column)
      for row in 0..<shape.headWidth {
        let sum = sums + row * panel.count + column
        storeVector(loadVector(sum) * factor, to: sum)
      }
    }
    transposeMatrix(
      sums, stride: panel.count, rows: shape.headWidth,
      columns: min(queries.count, panel.upperBound) - panel.lowerBound,
      into: output + panel.lowerBound * shape.outputStride, targetStride: shape.outputStride)
  }
}

/// Replaces a vector of columns of values by `2^(value - shift)` and returns the sums of the results.
///
/// - Parameter isBounded: whether the shift is 0 and no value exceeds 126
@inline(__always)
private func raiseTwo<Lanes: FloatVector>(
  _ columns: UnsafeMutablePointer<Float>, stride: Int, count: Int, shift: Lanes, isBounded: Bool
) -> Lanes {
  var total = Lanes.zero
  var row = columns
  if isBounded {
    for _ in 0..<count {
      let power: Lanes = powerOfTwoWithinRange(load(row))
      store(power, to: row)
      total = total + power
      row += stride
    }
  } else {
    for _ in 0..<count {
      let power: Lanes = powerOfTwoUpToZero(load(row) - shift)
      store(power, to: row)
      total = total + power
      row += stride
    }
  }
  return total
}

/// Returns the largest value of each of a vector of columns.
@inline(__always)
private func largest<Lanes: FloatVector>(
  _ columns: UnsafePointer<Float>, stride: Int, count: Int
) -> Lanes {
  var result: Lanes = load(columns)
  var row = columns
  for _ in 1..<max(1, count) {
    row += stride
    result = result.orLarger(load(row))
  }
  return result
}
