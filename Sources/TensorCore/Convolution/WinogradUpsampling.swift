/// The convolution of an image's 2x nearest-neighbour upsampling with a 3x3 kernel: 4x4 outputs
/// from 4x4 inputs with 25 products.
///
/// Along one axis, inputs s reach the outputs y as `s0 s1 s1 s2 s2 s3`, and five products suffice:
///
///     m0 = (s1 + s2) (g0 + g1 + g2) / 2    y0 = m0 - m1 + m3
///     m1 = (s2 - s1) (g2 - g0 + g1) / 2    y1 = m0 + m2
///     m2 = (s2 - s1) (g2 - g0 - g1) / 2    y2 = m0 + m1
///     m3 = (s0 - s2) g0                    y3 = m0 - m2 + m4
///     m4 = (s3 - s1) g2
///
/// The sixth product of ``Winograd`` vanishes for an interpolation point at -1, as does the
/// upsampled signal.
enum WinogradUpsampling {
  static let inputSize = 4
  /// Elements of a transformed tile's input; some are multiplied twice.
  static let inputPlanes = 16
  static let planes = 25

  private typealias Three<Lanes> = (Lanes, Lanes, Lanes)
  private typealias Four<Lanes> = (Lanes, Lanes, Lanes, Lanes)
  private typealias Five<Lanes> = (Lanes, Lanes, Lanes, Lanes, Lanes)

  /// Returns the element of the input that belongs to a product.
  static func inputPlane(_ plane: Int) -> Int {
    func factor(_ product: Int) -> Int { product > 1 ? product - 1 : product }
    return 4 * factor(plane / 5) + factor(plane % 5)
  }

  /// The 16 sums of the 16 pixels that begin at `pixels`, row by row.
  @inline(__always)
  static func transformInput<Lanes: FloatVector>(
    _ pixels: UnsafePointer<UnsafePointer<Float>>, channels: Range<Int>,
    into planes: UnsafeMutablePointer<Float>, planeStride: Int,
    scratch: UnsafeMutablePointer<Lanes>
  ) {
    for channel in stride(
      from: channels.lowerBound, to: channels.upperBound, by: Lanes.scalarCount)
    {
      for x in 0..<4 {
        let column: Four<Lanes> = inputMatrix(
          (
            load(pixels[x] + channel), load(pixels[4 + x] + channel),
            load(pixels[8 + x] + channel), load(pixels[12 + x] + channel)
          ))
        (scratch[x], scratch[4 + x], scratch[8 + x], scratch[12 + x]) = column
      }
      for y in 0..<4 {
        let row = scratch + 4 * y
        let sums = inputMatrix((row[0], row[1], row[2], row[3]))
        let target = planes + 4 * y * planeStride + channel
        store(sums.0, to: target)
        store(sums.1, to: target + planeStride)
        store(sums.2, to: target + 2 * planeStride)
        store(sums.3, to: target + 3 * planeStride)
      }
    }
  }

  /// The outputs plus a bias, written to 16 pixels, row by row.
  @inline(__always)
  static func transformProducts<Lanes: FloatVector>(
    _ planes: UnsafePointer<Float>, planeStride: Int, channels: Range<Int>,
    bias: UnsafePointer<Float>, into pixels: UnsafePointer<UnsafePointer<Float>>,
    scratch: UnsafeMutablePointer<Lanes>
  ) {
    for channel in stride(
      from: channels.lowerBound, to: channels.upperBound, by: Lanes.scalarCount)
    {
      for x in 0..<5 {
        let column = planes + x * planeStride + channel
        (scratch[x], scratch[5 + x], scratch[10 + x], scratch[15 + x]) = outputMatrix(
          (
            load(column), load(column + 5 * planeStride),
            load(column + 10 * planeStride), load(column + 15 * planeStride),
            load(column + 20 * planeStride)
          ))
      }
      let bias: Lanes = load(bias + channel)
      for y in 0..<4 {
        let row = scratch + 5 * y
        let (x0, x1, x2, x3) = outputMatrix((row[0], row[1], row[2], row[3], row[4]))
        store(x0 + bias, to: UnsafeMutablePointer(mutating: pixels[4 * y] + channel))
        store(x1 + bias, to: UnsafeMutablePointer(mutating: pixels[4 * y + 1] + channel))
        store(x2 + bias, to: UnsafeMutablePointer(mutating: pixels[4 * y + 2] + channel))
        store(x3 + bias, to: UnsafeMutablePointer(mutating: pixels[4 * y + 3] + channel))
      }
    }
  }

  /// The 25 factors of eight columns of `kernel`, whose nine elements lie `kernelStride` apart.
  @inline(__always)
  static func transformKernel(
    _ kernel: UnsafePointer<Float>, kernelStride: Int,
    into planes: UnsafeMutablePointer<Float>, planeStride: Int,
    scratch: UnsafeMutablePointer<Vector>
  ) {
    for x in 0..<3 {
      (scratch[x], scratch[3 + x], scratch[6 + x], scratch[9 + x], scratch[12 + x]) =
        kernelMatrix(
          (
            loadVector(kernel + x * kernelStride), loadVector(kernel + (3 + x) * kernelStride),
            loadVector(kernel + (6 + x) * kernelStride)
          ))
    }
    for y in 0..<5 {
      let row = scratch + 3 * y
      let factors = kernelMatrix((row[0], row[1], row[2]))
      let target = planes + 5 * y * planeStride
      storeVector(factors.0, to: target)
      storeVector(factors.1, to: target + planeStride)
      storeVector(factors.2, to: target + 2 * planeStride)
      storeVector(factors.3, to: target + 3 * planeStride)
      storeVector(factors.4, to: target + 4 * planeStride)
    }
  }

  @inline(__always)
  private static func inputMatrix<Lanes: FloatVector>(_ s: Four<Lanes>) -> Four<Lanes> {
    (s.1 + s.2, s.2 - s.1, s.0 - s.2, s.3 - s.1)
  }

  @inline(__always)
  private static func outputMatrix<Lanes: FloatVector>(_ m: Five<Lanes>) -> Four<Lanes> {
    (m.0 - m.1 + m.3, m.0 + m.2, m.0 + m.1, m.0 - m.2 + m.4)
  }

  @inline(__always)
  private static func kernelMatrix(_ g: Three<Vector>) -> Five<Vector> {
    let sum = 0.5 * (g.0 + g.2)
    let difference = 0.5 * (g.2 - g.0)
    let half = 0.5 * g.1
    return (sum + half, difference + half, difference - half, g.0, g.2)
  }
}
