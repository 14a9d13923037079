/// Which of two algorithms makes 4x4 outputs of a tile.
enum WinogradForm {
  /// ``Winograd``, of the image as it is.
  case plain
  /// ``WinogradEnlarging``, of the image twice as high and wide.
  case enlarging

  /// Rows and columns of a tile's input.
  var inputSize: Int { self == .plain ? Winograd.inputSize : WinogradEnlarging.inputSize }
  /// Elements of the transformed input.
  var inputPlanes: Int { self == .plain ? Winograd.planes : WinogradEnlarging.inputPlanes }
  /// Products, each a matrix of its own over all tiles.
  var planes: Int { self == .plain ? Winograd.planes : WinogradEnlarging.planes }

  /// Which element of the input belongs to a product.
  func inputPlane(_ plane: Int) -> Int {
    self == .plain ? plane : WinogradEnlarging.inputPlane(plane)
  }

  func transformInput(
    _ scratch: WinogradScratch, channels: Int, into planes: UnsafeMutablePointer<Float>,
    planeStride: Int
  ) {
    let wide = scratch.channelsOfWideVectors(channels)
    switch self {
    case .plain:
      Winograd.transformInput(
        scratch.pixels, channels: 0..<wide, into: planes, planeStride: planeStride,
        scratch: scratch.wideVectors)
      Winograd.transformInput(
        scratch.pixels, channels: wide..<channels, into: planes, planeStride: planeStride,
        scratch: scratch.vectors)
    case .enlarging:
      WinogradEnlarging.transformInput(
        scratch.pixels, channels: 0..<wide, into: planes, planeStride: planeStride,
        scratch: scratch.wideVectors)
      WinogradEnlarging.transformInput(
        scratch.pixels, channels: wide..<channels, into: planes, planeStride: planeStride,
        scratch: scratch.vectors)
    }
  }

  func transformProducts(
    _ planes: UnsafePointer<Float>, planeStride: Int, channels: Int, bias: UnsafePointer<Float>,
    _ scratch: WinogradScratch
  ) {
    let wide = scratch.channelsOfWideVectors(channels)
    switch self {
    case .plain:
      Winograd.transformProducts(
        planes, planeStride: planeStride, channels: 0..<wide, bias: bias, into: scratch.pixels,
        scratch: scratch.wideVectors)
      Winograd.transformProducts(
        planes, planeStride: planeStride, channels: wide..<channels, bias: bias,
        into: scratch.pixels, scratch: scratch.vectors)
    case .enlarging:
      WinogradEnlarging.transformProducts(
        planes, planeStride: planeStride, channels: 0..<wide, bias: bias, into: scratch.pixels,
        scratch: scratch.wideVectors)
      WinogradEnlarging.transformProducts(
        planes, planeStride: planeStride, channels: wide..<channels, bias: bias,
        into: scratch.pixels, scratch: scratch.vectors)
    }
  }

  func transformKernel(
    _ kernel: UnsafePointer<Float>, kernelStride: Int, into planes: UnsafeMutablePointer<Float>,
    planeStride: Int, _ scratch: WinogradScratch
  ) {
    switch self {
    case .plain:
      Winograd.transformKernel(
        kernel, kernelStride: kernelStride, into: planes, planeStride: planeStride,
        scratch: scratch.vectors)
    case .enlarging:
      WinogradEnlarging.transformKernel(
        kernel, kernelStride: kernelStride, into: planes, planeStride: planeStride,
        scratch: scratch.vectors)
    }
  }
}
