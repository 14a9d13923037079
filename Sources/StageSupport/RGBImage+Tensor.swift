public import Autograd
public import Imaging
import NN
import TensorCore

/// The rows of a batch of decoded images.
///
/// - Throws: `NonFiniteError`
package func rgbImages(_ batch: Tensor) throws -> [RGBImage] {
  try (0..<batch.shape[0]).map { try RGBImage(decoded: batch.slice(axis: 0, $0..<$0 + 1)) }
}

extension RGBImage {
  /// A decoded image `[1, height, width, 3]` in -1...1 as 8-bit pixels, rounded as diffusers rounds them.
  ///
  /// - Throws: `NonFiniteError`
  public init(decoded tensor: Tensor) throws {
    guard
      let pixels = tensor.withValues({
        quantized($0, scale: 0.5, shift: 0.5, rounding: .toNearestOrEven)
      })
    else { throw NonFiniteError("vae, decoding", isNaN: true) }
    self.init(width: tensor.shape[2], height: tensor.shape[1], pixels: pixels)
  }

  /// Images of one height side by side.
  package init(sideBySide images: [RGBImage]) {
    let width = images.reduce(0) { $0 + $1.width }
    let height = images.first?.height ?? 0
    var pixels: [UInt8] = []
    pixels.reserveCapacity(3 * width * height)
    for row in 0..<height {
      for image in images {
        pixels += image.pixels[3 * image.width * row..<3 * image.width * (row + 1)]
      }
    }
    self.init(width: width, height: height, pixels: pixels)
  }
}
