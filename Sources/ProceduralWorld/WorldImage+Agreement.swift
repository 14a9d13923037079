extension WorldImage {
  /// Returns how well the image shows `scene`, 0...100.
  ///
  ///     agreement = 75 (mean over the objects of `match`) + 15 background + 10 emptiness
  ///
  /// Outside is where a pixel is at least 4 units from every shape that the scene names (at its place,
  /// radius 11). Over the pixels outside:
  ///
  /// - background = clip((l - 0.4) / 0.25) if light, clip((0.62 - l) / 0.25) if dark; l is the mean of
  ///   all channels
  /// - emptiness = clip(1 - v / 0.1), v the mean of clip((c - 0.16) / 0.12) where the chroma c is above
  ///   0.3 and 0 elsewhere: nothing lies where the prompt wants nothing
  public func agreement(with scene: Scene) -> Double {
    let matches = scene.objects.map { match(of: $0, isAlone: scene.objects.count == 1) }
    let outside = (0..<Self.pixelCount).filter { index in
      scene.objects.allSatisfy { object in
        let point = Self.pixelCentres[index] - object.place.centre
        return object.shape.signedDistance(to: point, radius: 11) <= -4
      }
    }
    var light: Float = 0
    var strays: Float = 0
    for index in outside {
      let pixel = self[index]
      let chroma = chroma(pixel)
      light += pixel.sum() / 3
      strays += chroma > 0.3 ? unit((chroma - 0.16) / 0.12) : 0
    }
    light /= Float(outside.count)
    strays /= Float(outside.count)
    let background =
      scene.background == .light ? unit((light - 0.4) / 0.25) : unit((0.62 - light) / 0.25)
    let objects = matches.reduce(0, +) / Float(matches.count)
    return Double(75 * objects + 15 * background + 10 * unit(1 - strays / 0.1))
  }

  /// Returns how well an object appears at its position, 0...1.
  ///
  ///     match = clip((IoU - 0.25) / 0.55) (1 - 0.3 clip((IoU' - IoU) / 0.06))
  ///
  /// IoU = sum(min) / sum(max) of the coverage of the named shape (radius 11) and each pixel's
  /// membership in the named colour; the best of nine centres, place + {-2, 0, 2}^2. IoU' is the better
  /// one of the two other shapes: circles and squares overlap so much that IoU alone hardly tells them
  /// apart. One of two objects is looked for only in its half of the image.
  package func match(of object: SceneObject, isAlone: Bool) -> Float {
    let members = (0..<Self.pixelCount).map { index in
      isAlone || object.place.holds(Self.pixelCentres[index])
        ? membership(of: self[index], in: object.colour) : 0
    }
    let total = members.reduce(0, +)
    func overlap(_ shape: SceneShape) -> Float {
      object.place.nearbyCentres.map { Self.overlap(members, total, shape, at: $0) }.max() ?? 0
    }
    let own = overlap(object.shape)
    let other = SceneShape.allCases.filter { $0 != object.shape }.map(overlap).max() ?? 0
    return unit((own - 0.25) / 0.55) * (1 - 0.3 * unit((other - own) / 0.06))
  }

  /// Intersection over union of a shape of radius 11 and `members`, whose sum is `total`.
  private static func overlap(
    _ members: [Float], _ total: Float, _ shape: SceneShape, at centre: SIMD2<Float>
  ) -> Float {
    var intersection: Float = 0
    var area: Float = 0
    // No shape of radius 11 reaches further than 12.1 units from its centre.
    func around(_ coordinate: Float) -> Range<Int> {
      Int((coordinate - 13) * pixelsPerUnit)..<Int((coordinate + 13) * pixelsPerUnit)
    }
    for row in around(centre.y) {
      for column in around(centre.x) {
        let index = row * side + column
        let coverage = shape.coverage(of: pixelCentres[index] - centre, radius: 11)
        intersection += min(coverage, members[index])
        area += coverage
      }
    }
    return intersection / (total + area - intersection)
  }

  /// Returns a pixel's membership in a named colour, 0...1.
  ///
  ///     membership = clip((42 - |hue - named hue|) / 16) clip((chroma - 0.16) / 0.12)
  private func membership(of pixel: SIMD3<Float>, in colour: SceneColour) -> Float {
    let strength = unit((chroma(pixel) - 0.16) / 0.12)
    guard strength > 0 else { return 0 }
    return strength * unit((42 - hueDistance(hue(pixel), colour.hue)) / 16)
  }
}

extension ScenePlace {
  /// Whether a pixel lies in the place's half of the image; the middle has all of it.
  fileprivate func holds(_ pixel: SIMD2<Float>) -> Bool {
    let middle = WorldImage.unitsPerSide / 2
    switch self {
    case .left: return pixel.x < middle
    case .right: return pixel.x > middle
    case .top: return pixel.y < middle
    case .bottom: return pixel.y > middle
    case .middle: return true
    }
  }

  /// The centres at which an object is looked for: the place and those 2 units from it.
  fileprivate var nearbyCentres: [SIMD2<Float>] {
    let steps: [Float] = [-2, 0, 2]
    return steps.flatMap { y in steps.map { x in centre + [x, y] } }
  }
}
