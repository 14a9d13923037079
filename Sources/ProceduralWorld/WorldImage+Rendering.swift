import Glibc
public import RandomStreams

extension WorldImage {
  /// The image of `scene` that `seed` and `item` name: the same one in every run.
  public init(of scene: Scene, seed: UInt64, item: UInt64) {
    var stream = RandomStream(seed: seed, purpose: "world.render", item: item)
    self.init(of: scene, using: &stream)
  }

  /// An image of `scene` with an appearance drawn from `stream`.
  public init(of scene: Scene, using stream: inout RandomStream) {
    let appearance = Appearance(objectCount: scene.objects.count, using: &stream)
    self.init(of: scene, appearance: appearance)
  }

  /// The image of `scene` with a given appearance.
  ///
  /// - Background: see ``Appearance/background(_:at:)``.
  /// - Shadows: each object's shape moved by (1.5, 4.5) units, its coverage m = clip(d / 7 + 0.5) of the
  ///   signed distance d; the background is multiplied by 1 - 0.5 (1 - shadow loss) m.
  /// - Objects, in the prompt's order, blended by their coverage of each pixel.
  /// - Grain: 0.085 graininess times the cell's number, added to all channels.
  public init(of scene: Scene, appearance: Appearance) {
    precondition(
      scene.objects.count == appearance.objects.count,
      "the scene has \(scene.objects.count) objects, its appearance \(appearance.objects.count)")
    var pixels = Self.pixelCentres.map { appearance.background(scene.background, at: $0) }
    for (object, look) in zip(scene.objects, appearance.objects) {
      let centre = object.place.centre + look.offset + [1.5, 4.5]
      let depth = 0.5 * (1 - appearance.shadowLoss)
      for index in pixels.indices {
        let distance = object.shape.signedDistance(
          to: Self.pixelCentres[index] - centre, radius: look.radius)
        pixels[index] *= 1 - depth * unit(distance / 7 + 0.5)
      }
    }
    for (object, look) in zip(scene.objects, appearance.objects) {
      let centre = object.place.centre + look.offset
      let coverage = object.shape.coverage(centre: centre, radius: look.radius)
      for index in pixels.indices where coverage[index] > 0 {
        let colour = appearance.colour(
          of: object.shape, hue: object.colour.hue + look.hueOffset,
          at: (Self.pixelCentres[index] - centre) / look.radius)
        pixels[index] += (colour - pixels[index]) * coverage[index]
      }
    }
    self.init(
      values: pixels.enumerated().flatMap { index, pixel in
        let grain = 0.085 * appearance.graininess * appearance.grain[Self.cell(ofPixel: index)]
        return [pixel.x + grain, pixel.y + grain, pixel.z + grain]
      })
  }
}

extension Appearance {
  /// The background's colour at a point, without shadows.
  ///
  /// A mixture of two colours by the dinginess; t grows from the top left corner, 0, to the bottom right
  /// one, 1:
  ///
  /// - fresh: if light, saturation 0.13 and value 0.99 (1 - 0.10 t); if dark, 0.36 and 0.42 (1 - 0.35 t)
  /// - dingy: if light, saturation 0.22 and value 0.72 (1 - 0.05 t); if dark, 0.30 and 0.30 (1 - 0.05 t)
  fileprivate func background(
    _ background: SceneBackground, at point: SIMD2<Float>
  ) -> SIMD3<Float> {
    let t = point.sum() / (2 * WorldImage.unitsPerSide)
    let isLight = background == .light
    let fresh =
      isLight
      ? rgb(hue: freshHue, saturation: 0.13, value: 0.99 * (1 - 0.10 * t))
      : rgb(hue: freshHue, saturation: 0.36, value: 0.42 * (1 - 0.35 * t))
    let dingy =
      isLight
      ? rgb(hue: dingyHue, saturation: 0.22, value: 0.72 * (1 - 0.05 * t))
      : rgb(hue: dingyHue, saturation: 0.30, value: 0.30 * (1 - 0.05 * t))
    return fresh + (dingy - fresh) * dinginess
  }

  /// An object's colour at a point, in radii from its centre.
  ///
  /// With dullness k and roundness q = 1 - flatness:
  ///
  /// - saturation 0.88 - 0.40 k, or 0.88 - 0.54 k if pale; value 0.97 - 0.41 k, or 0.97 - 0.07 k if pale
  /// - shade: the value times 1 - 0.30 q max(x + y, 0)
  /// - highlight: white by 0.65 q exp(-d^2 / (2 0.24^2)), d the distance from (-0.32, -0.36), on a triangle
  ///   from (-0.16, -0.10)
  fileprivate func colour(
    of shape: SceneShape, hue: Float, at point: SIMD2<Float>
  ) -> SIMD3<Float> {
    let roundness = 1 - flatness
    let saturation = 0.88 - (isPale ? 0.54 : 0.40) * dullness
    let value = 0.97 - (isPale ? 0.07 : 0.41) * dullness
    let shade = 1 - 0.30 * roundness * max(point.sum(), 0)
    let body = rgb(hue: hue, saturation: saturation, value: value * shade)
    let fromLight = point - (shape == .triangle ? [-0.16, -0.10] : [-0.32, -0.36])
    let squared = (fromLight * fromLight).sum()
    let highlight = 0.65 * roundness * exp(-squared / (2 * 0.24 * 0.24))
    return body + (1 - body) * highlight
  }
}
