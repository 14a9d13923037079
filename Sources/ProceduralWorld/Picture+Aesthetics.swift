#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

extension Picture {
  /// How pleasant the picture is, 0...100: smooth rather than noisy, its colours neither pale nor neon.
  ///
  ///     aesthetics = 100 presence (0.55 smoothness + 0.45 harmony)
  ///
  /// Every term is continuous, so a picture that becomes a little better scores a little more. There is
  /// none for the sharpness of edges: the tiny model's decoder draws all of them alike.
  ///
  /// Blur and fading raise smoothness, but fading soon costs harmony and in the end presence, and both
  /// cost agreement. JPEG of quality 85 moves the score by 0.6 on average.
  public var aesthetics: Double {
    let (presence, harmony) = colourTerms
    return 100 * presence * (0.55 * smoothness + 0.45 * harmony)
  }

  /// exp(-D / 0.06): 1 without noise, 0.17 with grain of a tenth of the range of values.
  ///
  /// Of the means of the 16 x 16 cells, |c[i-1] - 2 c[i] + c[i+1]|, averaged over the channels, in all
  /// rows and columns: 448 numbers. D is the mean of the lowest 268 (60 %), so that objects' outlines do
  /// not count.
  package var smoothness: Double {
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
    return exp(-lowest.reduce(0, +) / Double(lowest.count) / 0.06)
  }

  /// The mean colour of each cell of 4 x 4 pixels, row by row.
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

  /// Whether there is anything coloured, and how well saturated it is.
  ///
  /// With a pixel's chroma c = max - min of its channels and weight m = clip((c - 0.12) / 0.12):
  ///
  /// - presence = clip(sum m / 120), at most 1 (the smallest object has about 200 pixels)
  /// - S = sum(m c s) / sum(m c), the mean saturation s = c / max
  /// - harmony = exp(-((S - 0.54) / w)^2), w = 0.25 above 0.54 and 0.12 below: what is pale loses more
  ///   quickly than what is garish
  package var colourTerms: (presence: Double, harmony: Double) {
    var mass = 0.0
    var weights = 0.0
    var sum = 0.0
    for index in 0..<Self.pixelCount {
      let pixel = self[index]
      let chroma = Double(chroma(pixel))
      let membership = min(max((chroma - 0.12) / 0.12, 0), 1)
      guard membership > 0 else { continue }
      mass += membership
      weights += membership * chroma
      sum += membership * chroma * chroma / Double(pixel.max())
    }
    guard weights > 0 else { return (0, 0) }
    let excess = sum / weights - 0.54
    let deviation = excess / (excess > 0 ? 0.25 : 0.12)
    return (min(mass / 120, 1), exp(-deviation * deviation))
  }
}
