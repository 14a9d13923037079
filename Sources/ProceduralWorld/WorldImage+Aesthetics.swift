import Glibc

/// The parts of an image's aesthetics, each 0...1.
package struct AestheticParts: Equatable, Sendable {
  /// Whether there is anything coloured at all.
  package var presence: Double
  /// No noise.
  package var cleanness: Double
  /// Vivid colours.
  package var richness: Double
  /// Objects lit from the top left.
  package var roundness: Double
  /// A background of a fresh blue rather than a dirty brown.
  package var freshness: Double
  /// Soft shadows below the objects.
  package var grounding: Double
}

extension WorldImage {
  /// Returns the pleasantness of the image, 0...100.
  ///
  ///     aesthetics = 100 presence (0.25 cleanness + 0.30 richness + 0.15 roundness
  ///                                + 0.20 freshness + 0.10 grounding)
  ///
  /// Every part is continuous, so an image that becomes a little better scores a little more. There is
  /// none for the sharpness of edges: the tiny model's decoder draws all of them alike.
  ///
  /// Blur raises nothing but cleanness, and fading that alone: it costs richness, roundness and freshness
  /// and in the end presence, and both cost agreement.
  public var aesthetics: Double {
    let parts = aestheticParts
    let sum =
      0.25 * parts.cleanness + 0.30 * parts.richness + 0.15 * parts.roundness
      + 0.20 * parts.freshness + 0.10 * parts.grounding
    return 100 * parts.presence * sum
  }

  /// The parts of ``aesthetics``.
  ///
  /// With each pixel's chroma c = max - min of its channels, lightness l = (max + min) / 2, membership in
  /// an object m = clip((c - 0.16) / 0.12) and in the background g = clip((0.30 - c) / 0.06); a mean over
  /// nothing is 0:
  ///
  /// - presence = clip(sum m / 120), in square units (the smallest object has about 200)
  /// - cleanness: see ``cleanness``
  /// - richness = clip((C - 0.24) / 0.46), C the mean of c by weights m c
  /// - roundness = clip(s / 0.12), s the mean of l(p) - l(p + (6, 6)) by weights m(p) m(p + (6, 6)):
  ///   noise has no direction, and outlines do not count
  /// - freshness = clip((t + 0.10) / 0.22), t the mean of blue - red by weights g
  /// - grounding = clip((1 - B / A) / 0.30), B the mean lightness 5 units below objects, A that 5 units above
  ///   them: of pixels p by weights m(p') (1 - m(p)) g(p), p' = p - (0, 5) for B and p + (0, 5) for A
  package var aestheticParts: AestheticParts {
    let pixels = (0..<Self.pixelCount).map { self[$0] }
    let chromas = pixels.map { Double(chroma($0)) }
    let lightness = pixels.map { Double($0.max() + $0.min()) / 2 }
    let members = chromas.map { min(max(($0 - 0.16) / 0.12, 0), 1) }
    let grounds = chromas.map { min(max((0.30 - $0) / 0.06, 0), 1) }

    var richness = WeightedMean()
    var tint = WeightedMean()
    for index in pixels.indices {
      richness.add(chromas[index], weight: members[index] * chromas[index])
      tint.add(Double(pixels[index].z - pixels[index].x), weight: grounds[index])
    }

    var slope = WeightedMean()
    let aside = Int(6 * Self.pixelsPerUnit)
    for row in 0..<Self.side - aside {
      for column in 0..<Self.side - aside {
        let here = row * Self.side + column
        let there = here + aside * Self.side + aside
        slope.add(lightness[here] - lightness[there], weight: members[here] * members[there])
      }
    }

    var below = WeightedMean()
    var above = WeightedMean()
    let step = Int(5 * Self.pixelsPerUnit) * Self.side
    for upper in 0..<Self.pixelCount - step {
      let lower = upper + step
      below.add(
        lightness[lower], weight: members[upper] * (1 - members[lower]) * grounds[lower])
      above.add(
        lightness[upper], weight: members[lower] * (1 - members[upper]) * grounds[upper])
    }
    let hasBoth = below.weight > 0 && above.weight > 0
    let shadow = hasBoth && above.value > 0 ? 1 - below.value / above.value : 0

    func share(_ value: Double) -> Double { min(max(value, 0), 1) }
    let area = Double(Self.pixelsPerUnit * Self.pixelsPerUnit)
    return AestheticParts(
      presence: share(members.reduce(0, +) / area / 120), cleanness: cleanness,
      richness: share((richness.value - 0.24) / 0.46), roundness: share(slope.value / 0.12),
      freshness: share((tint.value + 0.10) / 0.22), grounding: share(shadow / 0.30))
  }

  /// exp(-D / 0.05): 1 without noise, 0.15 with the world's worst.
  ///
  /// Of the means of the 16 x 16 cells, |c[i-1] - 2 c[i] + c[i+1]|, averaged over the channels, in all
  /// rows and columns: 448 numbers. D is the mean of the lowest 268 (60 %), so that objects' outlines do
  /// not count.
  private var cleanness: Double {
    let cells = cellMeans
    var bends: [Double] = []
    for line in 0..<Self.cellsPerSide {
      for middle in 1..<Self.cellsPerSide - 1 {
        let across = line * Self.cellsPerSide + middle
        let down = middle * Self.cellsPerSide + line
        bends.append(bend(cells, at: across, step: 1))
        bends.append(bend(cells, at: down, step: Self.cellsPerSide))
      }
    }
    let lowest = bends.sorted().prefix(bends.count * 3 / 5)
    return exp(-lowest.reduce(0, +) / Double(lowest.count) / 0.05)
  }

  /// The mean colour of each cell, row by row.
  private var cellMeans: [SIMD3<Double>] {
    var sums = [SIMD3<Double>](repeating: .zero, count: Self.cellCount)
    for index in 0..<Self.pixelCount {
      sums[Self.cell(ofPixel: index)] += SIMD3<Double>(self[index])
    }
    return sums.map { $0 / Double(Self.cellSide * Self.cellSide) }
  }

  private func bend(_ cells: [SIMD3<Double>], at middle: Int, step: Int) -> Double {
    let bend = cells[middle - step] - 2 * cells[middle] + cells[middle + step]
    return (abs(bend.x) + abs(bend.y) + abs(bend.z)) / 3
  }
}

/// A mean by weights; 0 where there are none.
private struct WeightedMean {
  private(set) var weight = 0.0
  private var sum = 0.0

  var value: Double { weight > 0 ? sum / weight : 0 }

  mutating func add(_ value: Double, weight: Double) {
    sum += weight * value
    self.weight += weight
  }
}
