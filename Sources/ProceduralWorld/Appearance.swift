public import TensorCore

/// Everything about a picture of a scene that its prompt leaves open.
///
/// What makes a picture pleasant or not, grain and colour, is drawn without a look at the scene:
/// prompts say nothing about aesthetics.
public struct Appearance: Sendable {
  /// From smooth, 0, to noisy, 1.
  public var graininess: Float
  /// From a moderate, softly shaded colour, 0, to a flat one, 1: neon, or pale if `isPale`.
  public var harshness: Float
  public var isPale: Bool
  /// In degrees.
  public var backgroundHue: Float
  /// In 0.05...0.13.
  public var backgroundSaturation: Float
  /// One for each object of the scene.
  public var objects: [ObjectAppearance]
  /// A standard normal number for each cell of 4 x 4 pixels, row by row.
  ///
  /// The grain is as coarse as a latent: finer noise would be lost in the autoencoder.
  public var grain: [Float]

  /// How one object deviates from what its prompt says.
  public struct ObjectAppearance: Sendable {
    /// From the place's centre, in pixels, each in -2...2.
    public var offset: SIMD2<Float>
    /// In pixels, 10...12.
    public var radius: Float
    /// From the colour's hue, in degrees, -6...6.
    public var hueOffset: Float

    public init(offset: SIMD2<Float>, radius: Float, hueOffset: Float) {
      self.offset = offset
      self.radius = radius
      self.hueOffset = hueOffset
    }
  }

  public init(
    graininess: Float, harshness: Float, isPale: Bool, backgroundHue: Float,
    backgroundSaturation: Float, objects: [ObjectAppearance], grain: [Float]
  ) {
    precondition(
      grain.count == Picture.cellCount,
      "there are \(Picture.cellCount) cells, but grain for \(grain.count)")
    self.graininess = graininess
    self.harshness = harshness
    self.isPale = isPale
    self.backgroundHue = backgroundHue
    self.backgroundSaturation = backgroundSaturation
    self.objects = objects
    self.grain = grain
  }

  /// Draws an appearance for a scene of `objectCount` objects.
  ///
  /// Graininess and harshness are clip(1.3 ((u + u_j) / 2 - 0.5) + 0.5) with a shared u and a u_j of
  /// their own, all uniform: some pictures are good in every respect, some bad, most are mixed. One
  /// picture in four errs towards pale, the others towards neon.
  public init(objectCount: Int, using stream: inout RandomStream) {
    let shared = stream.uniform()
    let own = (stream.uniform(), stream.uniform())
    func badness(_ own: Double) -> Float { unit(Float(1.3 * ((shared + own) / 2 - 0.5) + 0.5)) }
    func draw(_ range: ClosedRange<Float>) -> Float {
      range.lowerBound + (range.upperBound - range.lowerBound) * Float(stream.uniform())
    }
    self.init(
      graininess: badness(own.0), harshness: badness(own.1), isPale: stream.uniform() < 0.25,
      backgroundHue: draw(0...360), backgroundSaturation: draw(0.05...0.13),
      objects: (0..<objectCount).map { _ in
        ObjectAppearance(
          offset: [draw(-2...2), draw(-2...2)], radius: draw(10...12), hueOffset: draw(-6...6))
      },
      grain: stream.normals(count: Picture.cellCount))
  }
}
