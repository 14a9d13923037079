import TensorCore
import Testing

@Suite("Matrix product", .serialized)
struct MatrixProductTests {
  struct Sizes: Sendable {
    let rows: Int
    let columns: Int
    let inner: Int
  }

  /// On both sides of every limit of the rule that chooses between tiles and OpenBLAS.
  static let sizes: [Sizes] = [
    .init(rows: 1, columns: 1, inner: 1), .init(rows: 5, columns: 8, inner: 3),
    .init(rows: 6, columns: 8, inner: 1), .init(rows: 7, columns: 24, inner: 32),
    .init(rows: 129, columns: 40, inner: 17), .init(rows: 200, columns: 16, inner: 700),
    .init(rows: 131, columns: 33, inner: 20), .init(rows: 64, columns: 64, inner: 1100),
    .init(rows: 600, columns: 32, inner: 40), .init(rows: 20, columns: 600, inner: 30),
    .init(rows: 150, columns: 264, inner: 130), .init(rows: 3, columns: 5, inner: 0),
    .init(rows: 0, columns: 8, inner: 4), .init(rows: 96, columns: 192, inner: 1040),
    .init(rows: 7, columns: 328, inner: 600),
  ]

  @Test(
    "every layout gives the plain sums, on one thread and on several", arguments: sizes,
    [false, true])
  func layouts(_ sizes: Sizes, isPadded: Bool) {
    let (rows, columns, inner) = (sizes.rows, sizes.columns, sizes.inner)
    let gap = isPadded ? 3 : 0
    for (transposesA, transposesB) in [(false, false), (false, true), (true, false), (true, true)] {
      let strideA = (transposesA ? rows : inner) + gap
      let strideB = (transposesB ? inner : columns) + gap
      let a = noise((transposesA ? inner : rows) * strideA + 1, seed: 1)
      let b = noise((transposesB ? columns : inner) * strideB + 1, seed: 2)
      var product = [Double](repeating: 0, count: rows * columns)
      for row in 0..<rows {
        for column in 0..<columns {
          for k in 0..<inner {
            let left = a[transposesA ? k * strideA + row : row * strideA + k]
            let right = b[transposesB ? column * strideB + k : k * strideB + column]
            product[row * columns + column] += Double(left) * Double(right)
          }
        }
      }
      let bias = noise(columns, seed: 4)
      for (scale, keep, hasBias) in [
        (Float(1), Float(0), false), (1, 0, true), (1, 1, false), (1, 1, true), (0.5, 1, false),
        (-2, 0.25, false), (-2, 0.25, true),
      ] {
        let before = noise(rows * (columns + gap), seed: 3)
        var expected = before.map(Double.init)
        for row in 0..<rows {
          for column in 0..<columns {
            let index = row * (columns + gap) + column
            expected[index] =
              Double(scale) * product[row * columns + column] + Double(keep) * expected[index]
              + (hasBias ? Double(bias[column]) : 0)
          }
        }
        for multiply in [multiplyMatrices, multiplyMatricesInParallel] {
          var result = before
          a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
              bias.withUnsafeBufferPointer { bias in
                result.withUnsafeMutableBufferPointer { result in
                  guard let a = a.baseAddress, let b = b.baseAddress,
                    let result = result.baseAddress
                  else { return }
                  multiply(
                    MatrixPointer(a, stride: strideA, isTransposed: transposesA),
                    MatrixPointer(b, stride: strideB, isTransposed: transposesB), result,
                    columns + gap, rows, columns, inner, scale, keep,
                    hasBias ? bias.baseAddress : nil)
                }
              }
            }
          }
          #expect(largestError(result, expected) <= 1e-5)
        }
      }
    }
  }
}
