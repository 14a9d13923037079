public import TensorCore

extension Picture {
  /// The picture of `scene` that `seed` and `item` name: the same one in every run.
  public init(of scene: Scene, seed: UInt64, item: UInt64) {
    var stream = RandomStream(seed: seed, purpose: "world.render", item: item)
    self.init(of: scene, using: &stream)
  }

  /// A picture of `scene` with an appearance drawn from `stream`.
  public init(of scene: Scene, using stream: inout RandomStream) {
    let appearance = Appearance(objectCount: scene.objects.count, using: &stream)
    self.init(of: scene, appearance: appearance)
  }

  /// The picture of `scene` with a given appearance.
  ///
  /// - Background: the value goes linearly from 0.93 in the top row to 0.80 in the bottom row if it is
  ///   light, from 0.34 to 0.20 if it is dark.
  /// - Objects, in the prompt's order, blended by their coverage of each pixel.
  /// - Grain: 0.10 graininess times the cell's number, added to all channels.
  public init(of scene: Scene, appearance: Appearance) {
    precondition(
      scene.objects.count == appearance.objects.count,
      "the scene has \(scene.objects.count) objects, its appearance \(appearance.objects.count)")
    var pixels = Self.background(scene.background, appearance)
    for (object, look) in zip(scene.objects, appearance.objects) {
      let centre = object.place.centre + look.offset
      let coverage = object.shape.coverage(centre: centre, radius: look.radius)
      for index in pixels.indices where coverage[index] > 0 {
        let position = (Self.pixelCentres[index] - centre) / (2 * look.radius)
        let colour = appearance.colour(
          hue: object.colour.hue + look.hueOffset, along: position.sum())
        pixels[index] += (colour - pixels[index]) * coverage[index]
      }
    }
    self.init(
      values: pixels.enumerated().flatMap { index, pixel in
        let grain = 0.10 * appearance.graininess * appearance.grain[Self.cell(ofPixel: index)]
        return [pixel.x + grain, pixel.y + grain, pixel.z + grain]
      })
  }

  private static func background(
    _ background: SceneBackground, _ appearance: Appearance
  ) -> [SIMD3<Float>] {
    let (top, bottom): (Float, Float) = background == .light ? (0.93, 0.80) : (0.34, 0.20)
    let rows = (0..<side).map { row in
      rgb(
        hue: appearance.backgroundHue, saturation: appearance.backgroundSaturation,
        value: top + (bottom - top) * Float(row) / Float(side - 1))
    }
    return (0..<pixelCount).map { rows[$0 / side] }
  }
}

extension Appearance {
  /// An object's colour at `diagonal`, which grows from the top left to the bottom right: the sum of
  /// the coordinates from the object's centre, over its diameter.
  ///
  /// With harshness k: saturation 0.54 + 0.46 k, or 0.54 - 0.26 k if pale; value
  /// clip(0.84 + 0.14 k - 0.16 (1 - k) diagonal), light from the top left.
  fileprivate func colour(hue: Float, along diagonal: Float) -> SIMD3<Float> {
    let saturation = 0.54 + (isPale ? -0.26 : 0.46) * harshness
    let value = unit(0.84 + 0.14 * harshness - 0.16 * (1 - harshness) * diagonal)
    return rgb(hue: hue, saturation: saturation, value: value)
  }
}
