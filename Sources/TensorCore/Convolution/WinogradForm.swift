/// The two algorithms for 4x4 outputs of a tile.
enum WinogradForm {
  /// ``Winograd``, for the image itself.
  case plain
  /// ``WinogradUpsampling``, for the image upsampled 2x.
  case upsampling

  /// Rows and columns of a tile's input.
  var inputSize: Int { self == .plain ? Winograd.inputSize : WinogradUpsampling.inputSize }
  /// Elements of the transformed input.
  var inputPlanes: Int { self == .plain ? Winograd.planes : WinogradUpsampling.inputPlanes }
  /// The number of products, each a separate matrix over all tiles.
  var planes: Int { self == .plain ? Winograd.planes : WinogradUpsampling.planes }

  /// Returns the element of the input that belongs to a product.
  func inputPlane(_ plane: Int) -> Int {
    self == .plain ? plane : WinogradUpsampling.inputPlane(plane)
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
    case .upsampling:
      WinogradUpsampling.transformInput(
        scratch.pixels, channels: 0..<wide, into: planes, planeStride: planeStride,
        scratch: scratch.wideVectors)
      WinogradUpsampling.transformInput(
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
    case .upsampling:
      WinogradUpsampling.transformProducts(
        planes, planeStride: planeStride, channels: 0..<wide, bias: bias, into: scratch.pixels,
        scratch: scratch.wideVectors)
      WinogradUpsampling.transformProducts(
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
    case .upsampling:
      WinogradUpsampling.transformKernel(
        kernel, kernelStride: kernelStride, into: planes, planeStride: planeStride,
        scratch: scratch.vectors)
    }
  }
}
