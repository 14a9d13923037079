import HostResources
import TensorCore
import Testing

@Suite("Matrix product")
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
    .init(rows: 7, columns: 328, inner: 600), .init(rows: 1, columns: 56, inner: 9),
    .init(rows: 16, columns: 24, inner: 385), .init(rows: 100, columns: 312, inner: 771),
    .init(rows: 521, columns: 136, inner: 401),
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
      // Numbers that half precision holds, too.
      let half = noise((transposesB ? columns : inner) * strideB + 1, seed: 2).map { Float16($0) }
      let b = half.map { Float($0) }
      let halfStorage = HalfMemory(count: half.count, format: .binary16)
      for (index, value) in half.enumerated() {
        halfStorage.pointer[index] = value.bitPattern
      }
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
        for (count, isHalf) in [(1, false), (3, false), (1, true), (3, true)] {
          var result = before
          a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
              bias.withUnsafeBufferPointer { bias in
                result.withUnsafeMutableBufferPointer { result in
                  guard let a = a.baseAddress, let b = b.baseAddress,
                    let result = result.baseAddress
                  else { return }
                  Threads.with(count: count) {
                    multiplyMatrices(
                      MatrixPointer(a, stride: strideA, isTransposed: transposesA),
                      isHalf
                        ? RightFactor(halfStorage, stride: strideB, isTransposed: transposesB)
                        : RightFactor(b, stride: strideB, isTransposed: transposesB),
                      into: result, outputStride: columns + gap, rows: rows, columns: columns,
                      inner: inner, scale: scale, keep: keep,
                      bias: hasBias ? bias.baseAddress : nil)
                  }
                }
              }
            }
          }
          #expect(largestError(result, expected) <= 1e-5)
        }
      }
    }
  }

  @Test("products in panels do not depend on the number of threads")
  func threads() {
    let (rows, columns, inner) = (4100, 72, 500)
    let a = HostMemory(count: rows * inner)
    let b = HostMemory(count: columns * inner)
    for (storage, seed) in [(a, UInt64(1)), (b, 2)] {
      for (index, value) in noise(storage.count, seed: seed).enumerated() {
        storage.pointer[index] = value
      }
    }
    let results = [1, 2, 5].map { count in
      let result = HostMemory(count: rows * columns)
      Threads.with(count: count) {
        multiplyMatrices(
          MatrixPointer(a.pointer, stride: inner),
          RightFactor(b.pointer, stride: inner, isTransposed: true), into: result.pointer,
          outputStride: columns, rows: rows, columns: columns, inner: inner)
      }
      return Array(UnsafeBufferPointer(start: result.pointer, count: rows * columns))
    }
    #expect(results[0] == results[1] && results[0] == results[2])
  }

  /// With few rows an update is multiplied with on its own, with many it is added to the factor.
  static let updatedSizes: [(Sizes, rank: Int)] = [
    (.init(rows: 3, columns: 40, inner: 30), 2), (.init(rows: 40, columns: 64, inner: 16), 1),
    (.init(rows: 600, columns: 32, inner: 40), 9), (.init(rows: 200, columns: 33, inner: 20), 4),
    (.init(rows: 400, columns: 40, inner: 800), 5), (.init(rows: 20, columns: 600, inner: 70), 3),
  ]

  @Test("the right factor may have an update of low rank", arguments: updatedSizes)
  func updates(_ sizes: Sizes, rank: Int) {
    let (rows, columns, inner) = (sizes.rows, sizes.columns, sizes.inner)
    func storage(_ values: [Float]) -> HostMemory {
      let storage = HostMemory(count: values.count)
      storage.pointer.update(from: values, count: values.count)
      return storage
    }
    let a = noise(rows * inner, seed: 1)
    let half = noise(inner * columns, seed: 2).map { Float16($0) }
    let (left, right) = (noise(rank * inner, seed: 3), noise(rank * columns, seed: 4))
    let rowsOfA = storage(a)
    let (leftFactor, rightFactor) = (storage(left), storage(right))
    defer { withExtendedLifetime((leftFactor, rightFactor)) {} }
    let update = LowRankUpdate(left: leftFactor.pointer, right: rightFactor.pointer, rank: rank)
    for isTransposed in [false, true] {
      let stride = isTransposed ? inner : columns
      var expected = [Double](repeating: 0, count: rows * columns)
      for k in 0..<inner {
        for column in 0..<columns {
          var factor = Double(half[isTransposed ? column * inner + k : k * columns + column])
          for index in 0..<rank {
            factor += Double(left[index * inner + k]) * Double(right[index * columns + column])
          }
          for row in 0..<rows {
            expected[row * columns + column] += Double(a[row * inner + k]) * factor
          }
        }
      }
      let full = storage(half.map { Float($0) })
      let halfStorage = HalfMemory(count: half.count, format: .binary16)
      for (index, value) in half.enumerated() { halfStorage.pointer[index] = value.bitPattern }
      for (count, isHalf) in [(1, false), (3, false), (1, true), (3, true)] {
        var factor =
          isHalf
          ? RightFactor(halfStorage, stride: stride, isTransposed: isTransposed)
          : RightFactor(full.pointer, stride: stride, isTransposed: isTransposed)
        factor.update = update
        let result = HostMemory(count: rows * columns)
        Threads.with(count: count) {
          multiplyMatrices(
            MatrixPointer(rowsOfA.pointer, stride: inner), factor, into: result.pointer,
            outputStride: columns, rows: rows, columns: columns, inner: inner)
        }
        let values = Array(UnsafeBufferPointer(start: result.pointer, count: rows * columns))
        #expect(largestError(values, expected) <= 1e-5)
      }
    }
  }
}
