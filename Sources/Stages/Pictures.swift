import Autograd
import Imaging
import ProceduralWorld

/// A decoded picture `[1, height, width, 3]` in -1...1 as 8-bit pixels.
func image(_ tensor: Tensor) -> RGBImage {
  RGBImage(
    width: tensor.shape[2], height: tensor.shape[1],
    pixels: tensor.elements.map { value in
      UInt8((min(max(value / 2 + 0.5, 0), 1) * 255).rounded(.toNearestOrEven))
    })
}

/// The rows of a batch of decoded pictures, each as an image.
func images(_ batch: Tensor) -> [RGBImage] {
  (0..<batch.shape[0]).map { image(batch.slice(axis: 0, $0..<$0 + 1)) }
}

extension RGBImage {
  /// Pictures of one height side by side.
  init(sideBySide pictures: [RGBImage]) {
    let width = pictures.reduce(0) { $0 + $1.width }
    let height = pictures.first?.height ?? 0
    var pixels: [UInt8] = []
    pixels.reserveCapacity(3 * width * height)
    for row in 0..<height {
      for picture in pictures {
        pixels += picture.pixels[3 * picture.width * row..<3 * picture.width * (row + 1)]
      }
    }
    self.init(width: width, height: height, pixels: pixels)
  }
}
