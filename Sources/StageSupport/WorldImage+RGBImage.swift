package import Imaging
import PipelineCore
package import ProceduralWorld

extension WorldImage {
  /// An image that the oracle can score.
  ///
  /// - Parameter name: what the image is called in an error
  /// - Throws: `PipelineError.damaged` for an image of another size
  package init(_ image: RGBImage, name: String) throws {
    guard image.width == Self.side, image.height == Self.side,
      let converted = WorldImage(bytes: image.pixels)
    else {
      throw PipelineError.damaged(
        path: name,
        reason: "it is \(image.width) x \(image.height) pixels, but the procedural world has "
          + "\(Self.side) x \(Self.side)")
    }
    self = converted
  }
}
