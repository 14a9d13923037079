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
