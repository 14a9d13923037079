// The shape of a tile is a type composed of these parts, so that one source serves all shapes and
// the compiler keeps every sum in its own register. (It does not for arrays, even of fixed size.)

/// Adjacent numbers of one row, in one or more vectors.
protocol TileColumns {
  static var count: Int { get }
  init(_ pointer: UnsafePointer<Float>)
  /// Adds `factor * other`.
  mutating func add(_ factor: Float, _ other: Self)
  func store(to pointer: UnsafeMutablePointer<Float>, isAdding: Bool)
}

/// The numbers of one vector.
struct VectorColumns<Lanes: FloatVector>: TileColumns {
  private var lanes: Lanes

  static var count: Int { @inline(__always) get { Lanes.scalarCount } }

  @inline(__always)
  init(_ pointer: UnsafePointer<Float>) { lanes = load(pointer) }

  @inline(__always)
  mutating func add(_ factor: Float, _ other: Self) {
    lanes = lanes.addingProduct(Lanes(repeating: factor), other.lanes)
  }

  @inline(__always)
  func store(to pointer: UnsafeMutablePointer<Float>, isAdding: Bool) {
    TensorCore.store(isAdding ? load(pointer) + lanes : lanes, to: pointer)
  }
}

/// Columns followed by others.
struct Beside<First: TileColumns, Second: TileColumns>: TileColumns {
  private var first: First
  private var second: Second

  static var count: Int { @inline(__always) get { First.count + Second.count } }

  @inline(__always)
  init(_ pointer: UnsafePointer<Float>) {
    first = First(pointer)
    second = Second(pointer + First.count)
  }

  @inline(__always)
  mutating func add(_ factor: Float, _ other: Self) {
    first.add(factor, other.first)
    second.add(factor, other.second)
  }

  @inline(__always)
  func store(to pointer: UnsafeMutablePointer<Float>, isAdding: Bool) {
    first.store(to: pointer, isAdding: isAdding)
    second.store(to: pointer + First.count, isAdding: isAdding)
  }
}

/// Sums of several rows.
protocol TileSums {
  associatedtype Columns: TileColumns
  static var rowCount: Int { get }
  /// Initializes all rows with the same numbers.
  init(_ initial: Columns)
  /// Adds the products of one number of each row, `stride` floats apart, with `right`.
  mutating func add(_ left: UnsafePointer<Float>, stride: Int, _ right: Columns)
  func store(to output: UnsafeMutablePointer<Float>, stride: Int, isAdding: Bool)
}

/// Sums of rows in two parts, each of which addresses its rows from one pointer.
protocol TileHalf: TileSums {
  /// The rows of the first part.
  static var upperRowCount: Int { get }
  /// Adds products, given the addresses of the first rows of both parts.
  mutating func add(
    _ upper: UnsafePointer<Float>, _ lower: UnsafePointer<Float>, stride: Int, _ right: Columns)
}

/// The sums of one row.
struct RowSums<Columns: TileColumns>: TileSums {
  private var sums: Columns

  static var rowCount: Int { @inline(__always) get { 1 } }

  @inline(__always)
  init(_ initial: Columns) { sums = initial }

  @inline(__always)
  mutating func add(_ left: UnsafePointer<Float>, stride: Int, _ right: Columns) {
    sums.add(left[0], right)
  }

  @inline(__always)
  func store(to output: UnsafeMutablePointer<Float>, stride: Int, isAdding: Bool) {
    sums.store(to: output, isAdding: isAdding)
  }
}

/// Rows above others.
struct Above<First: TileSums, Second: TileSums>: TileHalf
where First.Columns == Second.Columns {
  typealias Columns = First.Columns
  private var first: First
  private var second: Second

  static var rowCount: Int { @inline(__always) get { First.rowCount + Second.rowCount } }
  static var upperRowCount: Int { @inline(__always) get { First.rowCount } }

  @inline(__always)
  init(_ initial: Columns) {
    first = First(initial)
    second = Second(initial)
  }

  @inline(__always)
  mutating func add(_ left: UnsafePointer<Float>, stride: Int, _ right: Columns) {
    add(left, left + First.rowCount * stride, stride: stride, right)
  }

  @inline(__always)
  mutating func add(
    _ upper: UnsafePointer<Float>, _ lower: UnsafePointer<Float>, stride: Int, _ right: Columns
  ) {
    first.add(upper, stride: stride, right)
    second.add(lower, stride: stride, right)
  }

  @inline(__always)
  func store(to output: UnsafeMutablePointer<Float>, stride: Int, isAdding: Bool) {
    first.store(to: output, stride: stride, isAdding: isAdding)
    second.store(to: output + First.rowCount * stride, stride: stride, isAdding: isAdding)
  }
}

typealias Eight = VectorColumns<SIMD8<Float>>
typealias Sixteen = VectorColumns<SIMD16<Float>>

typealias Rows2<Columns: TileColumns> = Above<RowSums<Columns>, RowSums<Columns>>
typealias Rows3<Columns: TileColumns> = Above<Rows2<Columns>, RowSums<Columns>>
typealias Rows4<Columns: TileColumns> = Above<Rows2<Columns>, Rows2<Columns>>
typealias Rows6<Columns: TileColumns> = Above<Rows3<Columns>, Rows3<Columns>>
