/// Winograd's convolution F(4x4, 3x3), which computes 4x4 outputs from 6x6 inputs with 36 products.
///
///     output = A^T ((G g G^T) * (B^T d B)) A
///
/// The interpolation points are 0, ±1/√2, ±√2 and infinity: in single precision their error is a quarter
/// of that of 0, ±1, ±2, about 2e-6 of the largest output at 320 channels. All functions here work on
/// a vector of channels at once.
///
/// Source: Lavin and Gray 2015, <https://arxiv.org/abs/1509.09308>; on the points: Barabasz et al. 2018,
/// <https://arxiv.org/abs/1803.10986>.
enum Winograd {
  static let outputSize = 4
  static let inputSize = 6
  static let kernelSize = 3
  /// Elements of a transformed tile; the products of each form a separate matrix.
  static let planes = 36

  /// Vectors that a transform needs between its two halves.
  static let scratchCount = 36

  // √2 and the constants of the matrices derived from it.
  private static let root: Float = 1.414_213_56
  private static let half: Float = 0.707_106_78
  private static let quarter: Float = 0.353_553_39
  private static let third: Float = 0.471_404_52
  private static let sixth: Float = 0.235_702_26

  private typealias Three<Lanes> = (Lanes, Lanes, Lanes)
  private typealias Four<Lanes> = (Lanes, Lanes, Lanes, Lanes)
  private typealias Six<Lanes> = (Lanes, Lanes, Lanes, Lanes, Lanes, Lanes)

  // MARK: Whole tiles

  /// `B^T d B` of the 36 pixels that begin at `pixels`, row by row.
  @inline(__always)
  static func transformInput<Lanes: FloatVector>(
    _ pixels: UnsafePointer<UnsafePointer<Float>>, channels: Range<Int>,
    into planes: UnsafeMutablePointer<Float>, planeStride: Int,
    scratch: UnsafeMutablePointer<Lanes>
  ) {
    for channel in stride(
      from: channels.lowerBound, to: channels.upperBound, by: Lanes.scalarCount)
    {
      for x in 0..<6 {
        put(
          inputMatrix(
            (
              load(pixels[x] + channel), load(pixels[6 + x] + channel),
              load(pixels[12 + x] + channel), load(pixels[18 + x] + channel),
              load(pixels[24 + x] + channel), load(pixels[30 + x] + channel)
            )), scratch + x)
      }
      for y in 0..<6 {
        put(
          inputMatrix(six(scratch + 6 * y)), planes + 6 * y * planeStride + channel, planeStride)
      }
    }
  }

  /// `A^T m A` plus a bias, written to 16 pixels of the output, row by row.
  @inline(__always)
  static func transformProducts<Lanes: FloatVector>(
    _ planes: UnsafePointer<Float>, planeStride: Int, channels: Range<Int>,
    bias: UnsafePointer<Float>, into pixels: UnsafePointer<UnsafePointer<Float>>,
    scratch: UnsafeMutablePointer<Lanes>
  ) {
    for channel in stride(
      from: channels.lowerBound, to: channels.upperBound, by: Lanes.scalarCount)
    {
      for x in 0..<6 {
        let column = planes + x * planeStride + channel
        let (y0, y1, y2, y3): Four<Lanes> = outputMatrix(six(column, 6 * planeStride))
        scratch[x] = y0
        scratch[6 + x] = y1
        scratch[12 + x] = y2
        scratch[18 + x] = y3
      }
      let bias: Lanes = load(bias + channel)
      for y in 0..<4 {
        let (x0, x1, x2, x3) = outputMatrix(six(scratch + 6 * y))
        store(x0 + bias, to: UnsafeMutablePointer(mutating: pixels[4 * y] + channel))
        store(x1 + bias, to: UnsafeMutablePointer(mutating: pixels[4 * y + 1] + channel))
        store(x2 + bias, to: UnsafeMutablePointer(mutating: pixels[4 * y + 2] + channel))
        store(x3 + bias, to: UnsafeMutablePointer(mutating: pixels[4 * y + 3] + channel))
      }
    }
  }

  /// `A dy A^T` of 16 pixels of an output's gradient: the adjoint of the output's transform.
  @inline(__always)
  static func transformOutputGradient<Lanes: FloatVector>(
    _ pixels: UnsafePointer<UnsafePointer<Float>>, channels: Range<Int>,
    into planes: UnsafeMutablePointer<Float>, planeStride: Int,
    scratch: UnsafeMutablePointer<Lanes>
  ) {
    for channel in stride(
      from: channels.lowerBound, to: channels.upperBound, by: Lanes.scalarCount)
    {
      for x in 0..<4 {
        put(
          outputAdjoint(
            (
              load(pixels[x] + channel), load(pixels[4 + x] + channel),
              load(pixels[8 + x] + channel), load(pixels[12 + x] + channel)
            )), scratch + x)
      }
      for y in 0..<6 {
        let row = scratch + 6 * y
        put(
          outputAdjoint((row[0], row[1], row[2], row[3])),
          planes + 6 * y * planeStride + channel, planeStride)
      }
    }
  }

  /// `G g G^T` of eight columns of `kernel`, whose nine elements lie `kernelStride` apart.
  @inline(__always)
  static func transformKernel(
    _ kernel: UnsafePointer<Float>, kernelStride: Int,
    into planes: UnsafeMutablePointer<Float>, planeStride: Int,
    scratch: UnsafeMutablePointer<Vector>
  ) {
    for x in 0..<3 {
      put(
        kernelMatrix(
          (
            loadVector(kernel + x * kernelStride), loadVector(kernel + (3 + x) * kernelStride),
            loadVector(kernel + (6 + x) * kernelStride)
          )), scratch + x)
    }
    for y in 0..<6 {
      let row = scratch + 6 * y
      put(kernelMatrix((row[0], row[1], row[2])), planes + 6 * y * planeStride, planeStride)
    }
  }

  /// `G^T u G`, the adjoint of the kernel's transform.
  @inline(__always)
  static func transformKernelGradient(
    _ planes: UnsafePointer<Float>, planeStride: Int,
    into kernel: UnsafeMutablePointer<Float>, kernelStride: Int,
    scratch: UnsafeMutablePointer<Vector>
  ) {
    for x in 0..<6 {
      let (y0, y1, y2): Three<Vector> = kernelAdjoint(
        six(planes + x * planeStride, 6 * planeStride))
      scratch[x] = y0
      scratch[6 + x] = y1
      scratch[12 + x] = y2
    }
    for y in 0..<3 {
      let (x0, x1, x2) = kernelAdjoint(six(scratch + 6 * y))
      storeVector(x0, to: kernel + 3 * y * kernelStride)
      storeVector(x1, to: kernel + (3 * y + 1) * kernelStride)
      storeVector(x2, to: kernel + (3 * y + 2) * kernelStride)
    }
  }

  // MARK: The matrices

  /// The product `B^T d`.
  @inline(__always)
  private static func inputMatrix<Lanes: FloatVector>(_ d: Six<Lanes>) -> Six<Lanes> {
    let even1 = add(d.4, -2, d.2)
    let odd1 = add(times(half, d.3), -root, d.1)
    let even2 = add(d.4, -0.5, d.2)
    let odd2 = add(times(root, d.3), -half, d.1)
    return (
      add(d.0 + d.4, -2.5, d.2), even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2,
      add(d.1 + d.5, -2.5, d.3)
    )
  }

  /// The product `A^T m`.
  @inline(__always)
  private static func outputMatrix<Lanes: FloatVector>(_ m: Six<Lanes>) -> Four<Lanes> {
    let (sum1, difference1) = (m.1 + m.2, m.1 - m.2)
    let (sum2, difference2) = (m.3 + m.4, m.3 - m.4)
    return (
      m.0 + sum1 + sum2, add(times(half, difference1), root, difference2),
      add(times(0.5, sum1), 2, sum2), add(add(m.5, quarter, difference1), 2 * root, difference2)
    )
  }

  /// The product `A y`.
  @inline(__always)
  private static func outputAdjoint<Lanes: FloatVector>(_ y: Four<Lanes>) -> Six<Lanes> {
    let even1 = add(y.0, 0.5, y.2)
    let odd1 = add(times(half, y.1), quarter, y.3)
    let even2 = add(y.0, 2, y.2)
    let odd2 = add(times(root, y.1), 2 * root, y.3)
    return (y.0, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, y.3)
  }

  /// The product `G g`.
  @inline(__always)
  private static func kernelMatrix<Lanes: FloatVector>(_ g: Three<Lanes>) -> Six<Lanes> {
    let even1 = add(times(-2 / 3, g.0), -1 / 3, g.2)
    let odd1 = times(third, g.1)
    let even2 = add(times(1 / 6, g.0), 1 / 3, g.2)
    let odd2 = times(sixth, g.1)
    return (g.0, even1 - odd1, even1 + odd1, even2 + odd2, even2 - odd2, g.2)
  }

  /// The product `G^T u`.
  @inline(__always)
  private static func kernelAdjoint<Lanes: FloatVector>(_ u: Six<Lanes>) -> Three<Lanes> {
    let (sum1, difference1) = (u.1 + u.2, u.2 - u.1)
    let (sum2, difference2) = (u.3 + u.4, u.3 - u.4)
    return (
      add(add(u.0, -2 / 3, sum1), 1 / 6, sum2), add(times(third, difference1), sixth, difference2),
      add(u.5, 1 / 3, sum2 - sum1)
    )
  }

  @inline(__always)
  private static func times<Lanes: FloatVector>(_ factor: Float, _ a: Lanes) -> Lanes {
    Lanes(repeating: factor) * a
  }

  /// The sum `a + factor * b`.
  @inline(__always)
  private static func add<Lanes: FloatVector>(
    _ a: Lanes, _ factor: Float, _ b: Lanes
  ) -> Lanes {
    a.addingProduct(b, Lanes(repeating: factor))
  }

  // MARK: Reading and writing sixes

  @inline(__always)
  private static func six<Lanes>(_ row: UnsafePointer<Lanes>) -> Six<Lanes> {
    (row[0], row[1], row[2], row[3], row[4], row[5])
  }

  @inline(__always)
  private static func six<Lanes: FloatVector>(
    _ first: UnsafePointer<Float>, _ stride: Int
  ) -> Six<Lanes> {
    (
      load(first), load(first + stride), load(first + 2 * stride),
      load(first + 3 * stride), load(first + 4 * stride),
      load(first + 5 * stride)
    )
  }

  /// Writes a column of the scratch memory, whose rows hold six.
  @inline(__always)
  private static func put<Lanes>(
    _ column: Six<Lanes>, _ target: UnsafeMutablePointer<Lanes>
  ) {
    target[0] = column.0
    target[6] = column.1
    target[12] = column.2
    target[18] = column.3
    target[24] = column.4
    target[30] = column.5
  }

  @inline(__always)
  private static func put<Lanes: FloatVector>(
    _ row: Six<Lanes>, _ target: UnsafeMutablePointer<Float>, _ stride: Int
  ) {
    store(row.0, to: target)
    store(row.1, to: target + stride)
    store(row.2, to: target + 2 * stride)
    store(row.3, to: target + 3 * stride)
    store(row.4, to: target + 4 * stride)
    store(row.5, to: target + 5 * stride)
  }
}
