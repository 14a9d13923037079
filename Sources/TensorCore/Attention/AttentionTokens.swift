import HostResources

/// The keys or the values of every head, where the caller keeps them.
///
/// Copies, packed, would gain nothing: products read a few rows at a time, each of them adjacent.
struct HeadTokens {
  private let tokens: UnsafePointer<Float>
  /// Floats from one token to the next.
  let stride: Int
  private let shape: AttentionShape

  init(_ tokens: UnsafePointer<Float>, stride: Int, _ shape: AttentionShape) {
    self.tokens = tokens
    self.stride = stride
    self.shape = shape
  }

  /// A token of one of all images' heads.
  func pointer(_ head: Int, _ token: Int) -> UnsafePointer<Float> {
    let (image, index) = head.quotientAndRemainder(dividingBy: shape.heads)
    return tokens + (image * shape.keyCount + token) * stride + index * shape.headWidth
  }
}

/// The squared length of each head's longest key.
struct KeyLengths {
  private let squares: HostMemory

  init(_ keys: HeadTokens, _ shape: AttentionShape) {
    let squares = HostMemory(count: KeyLengthsMemory(shape).squares)
    parallelBlocks(squares.count, work: 2 * shape.keyCount * shape.headWidth) { heads in
      for head in heads {
        squares.pointer[head] = longestSquare(
          keys.pointer(head, 0), stride: keys.stride, count: shape.keyCount,
          width: shape.headWidth)
      }
    }
    self.squares = squares
  }

  /// Whether the products of a head's keys with queries are all within -43...43, so that their
  /// powers of two can be summed without scaling.
  ///
  ///     |q k| <= |q| |k|
  func boundsProducts(_ head: Int, withLongestSquare query: Float) -> Bool {
    // False for NaN, too.
    squares.pointer[head] * query <= 43 * 43
  }
}

/// Returns the squared length of the longest of `count` tokens, or a NaN among them.
func longestSquare(
  _ tokens: UnsafePointer<Float>, stride: Int, count: Int, width: Int
) -> Float {
  var longest: Float = 0
  for token in 0..<count {
    let square = squaredLength(tokens + token * stride, count: width)
    longest = longest >= square || longest.isNaN ? longest : square
  }
  return longest
}

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
