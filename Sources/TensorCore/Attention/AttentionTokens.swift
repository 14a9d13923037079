import HostResources

/// The tokens of every head, packed: `[batch, heads, count, headWidth]`.
struct HeadTokens {
  private let storage: HostMemory
  private let longestSquares: HostMemory
  private let headCount: Int

  /// The keys or the values of each image, `stride` floats apart.
  init(_ tokens: UnsafePointer<Float>, stride: Int, _ shape: AttentionShape) {
    let (count, width) = (shape.keyCount, shape.headWidth)
    let headCount = count * width
    let memory = HeadTokensMemory(shape)
    let storage = HostMemory(count: memory.tokens)
    let squares = HostMemory(count: memory.squares)
    parallelBlocks(shape.batch * shape.heads, work: 4 * headCount) { heads in
      for head in heads {
        let (image, index) = head.quotientAndRemainder(dividingBy: shape.heads)
        let first = tokens + image * count * stride + index * width
        let target = storage.pointer + head * headCount
        var longest: Float = 0
        for token in 0..<count {
          let row = target + token * width
          row.update(from: first + token * stride, count: width)
          longest = larger(longest, squaredLength(row, count: width))
        }
        squares.pointer[head] = longest
      }
    }
    self.storage = storage
    longestSquares = squares
    self.headCount = headCount
  }

  /// The first token of a head.
  func pointer(_ head: Int) -> UnsafePointer<Float> {
    UnsafePointer(storage.pointer + head * headCount)
  }

  /// Whether the products of a head's tokens with others are all within -43...43, so that their
  /// powers of two can be summed without scaling.
  ///
  ///     |q k| <= |q| |k|
  func boundsProducts(_ head: Int, with columns: TokenColumns) -> Bool {
    // False for NaN, too.
    longestSquares.pointer[head] * columns.longestSquare <= 43 * 43
  }
}

/// Returns the larger of two numbers, or a NaN among them.
private func larger(_ a: Float, _ b: Float) -> Float { a >= b || a.isNaN ? a : b }

private func squaredLength(_ token: UnsafePointer<Float>, count: Int) -> Float {
  var squares = Vector.zero
  let whole = count / 8 * 8
  for index in stride(from: 0, to: whole, by: 8) {
    let part = loadVector(token + index)
    squares = squares.addingProduct(part, part)
  }
  var sum = squares.sum()
  for index in whole..<count { sum += token[index] * token[index] }
  return sum
}

/// Some tokens of one head as columns: panels `[headWidth, 24 or 48]`, the right factor of products
/// with other tokens.
///
/// Padding columns, up to whole vectors, are zeros.
struct TokenColumns {
  /// Panels never cross a multiple of this many columns.
  static let columnsTogether = 96

  private let form: TileForm
  private let headWidth: Int
  private let storage: HostMemory
  private(set) var count = 0
  /// The columns of each panel: 24 or 48, in the last ones fewer, and two of 16 rather than 24 and 8.
  private(set) var panels: [Range<Int>] = []

  /// - Parameter count: the floats of the padded tokens that it is to hold
  init(_ form: TileForm, count: Int, headWidth: Int) {
    self.form = form
    self.headWidth = headWidth
    storage = HostMemory(count: count)
  }

  /// Rounds up to whole vectors.
  static func padded(_ count: Int) -> Int { (count + 7) / 8 * 8 }

  private func makePanels(_ columns: Int) -> [Range<Int>] {
    var panels: [Range<Int>] = []
    while case let start = panels.last?.upperBound ?? 0, start < columns {
      let together = Self.columnsTogether
      let left = min(columns, (start / together + 1) * together) - start
      let isSplit = form == .narrow && left == 32
      panels.append(start..<start + (isSplit ? 16 : min(form.attentionColumns, left)))
    }
    return panels
  }

  /// Replaces the contents by `scale` times `count` tokens, `stride` floats apart.
  mutating func take(
    _ tokens: UnsafePointer<Float>, stride: Int, count: Int, scale: Float = 1
  ) {
    if count != self.count {
      self.count = count
      panels = makePanels(Self.padded(count))
    }
    let factor = Vector(repeating: scale)
    for columns in panels {
      let target = pointer(columns)
      let used = min(count, columns.upperBound) - columns.lowerBound
      if used < columns.count {
        target.update(repeating: 0, count: headWidth * columns.count)
      }
      transposeMatrix(
        tokens + columns.lowerBound * stride, stride: stride, rows: used, columns: headWidth,
        into: target, targetStride: columns.count)
      mapVectors(target, into: target, count: headWidth * columns.count) { $0 * factor }
    }
  }

  /// The squared length of the longest token.
  var longestSquare: Float {
    var longest: Float = 0
    for panel in panels {
      for column in stride(from: 0, to: panel.count, by: 8) {
        var squares = Vector.zero
        for row in 0..<headWidth {
          let values = loadVector(pointer(panel) + row * panel.count + column)
          squares = squares.addingProduct(values, values)
        }
        for lane in 0..<8 { longest = larger(longest, squares[lane]) }
      }
    }
    return longest
  }

  func pointer(_ panel: Range<Int>) -> UnsafeMutablePointer<Float> {
    storage.pointer + panel.lowerBound * headWidth
  }
}

/// The tokens of one head as rows `[count, headWidth]`, the right factor of products with weights,
/// in panels.
struct TokenRows {
  private let form: TileForm
  private let headWidth: Int
  private let storage: HostMemory
  private var count = 0

  /// - Parameter count: the floats of the padded tokens that it is to hold
  init(_ form: TileForm, count: Int, headWidth: Int) {
    self.form = form
    self.headWidth = headWidth
    storage = HostMemory(count: count)
  }

  /// The columns of the products: the head width, padded to whole vectors.
  var columns: Int { TokenColumns.padded(headWidth) }

  /// Replaces the contents by `count` tokens, `stride` floats apart.
  mutating func take(_ tokens: UnsafePointer<Float>, stride: Int, count: Int) {
    self.count = count
    let source = PanelSource(
      form, .full(tokens), rows: count, columns: headWidth, columnStride: 1
    ) { row in row * stride }
    for panel in panels {
      source.copy(panel, rows: 0..<count, into: storage.pointer + panel.lowerBound * count)
    }
  }

  private var panels: some Sequence<Range<Int>> {
    (0..<form.panelCount(columns)).lazy.map { form.panel($0, of: columns) }
  }

  /// `output[rows, columns] += left[rows, tokens] tokens[tokens, columns]`, for some of the tokens.
  func addProduct(
    _ left: UnsafePointer<Float>, leftStride: Int, rows: Int, _ tokens: Range<Int>,
    into output: UnsafeMutablePointer<Float>, _ worker: TileWorker
  ) {
    for panel in panels {
      worker.multiply(
        left, leftStride: leftStride, rows: rows, inner: tokens.count,
        storage.pointer + panel.lowerBound * count + tokens.lowerBound * panel.count,
        panelStride: panel.count, width: panel.count, into: output + panel.lowerBound,
        outputStride: columns, isAdding: true)
    }
  }
}
