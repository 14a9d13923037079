public import RandomStreams

/// Everything about an image of a scene that its prompt leaves open.
///
/// The qualities that make an image pleasant or not are sampled independently of the scene: prompts
/// say nothing about aesthetics. There are five, each from pleasant, 0, to unpleasant, 1.
public struct Appearance: Sendable {
  /// From clean, 0, to covered with coarse blocks of noise, 1.
  public var graininess: Float
  /// From vivid colours of the objects, 0, to muddy ones, or to washed-out ones if `isPale`, 1.
  public var dullness: Float
  /// From round objects, lit from the top left with a highlight, 0, to flat ones, 1.
  public var flatness: Float
  /// From a background that is a gradient of a fresh blue, 0, to one of a dirty grey-brown, 1.
  public var dinginess: Float
  /// From objects that cast a soft shadow, 0, to ones that cast none, 1.
  public var shadowLoss: Float
  /// Whether dull colours are washed out rather than muddy.
  public var isPale: Bool
  /// The hue of a fresh background, in degrees, 195...250.
  public var freshHue: Float
  /// The hue of a dingy background, in degrees, 25...55.
  public var dingyHue: Float
  /// One for each object of the scene.
  public var objects: [ObjectAppearance]
  /// A standard normal number for each cell, row by row.
  ///
  /// The grain is as coarse as a latent: finer noise would be lost in the autoencoder.
  public var grain: [Float]

  /// The deviation of one object from its description in the prompt.
  public struct ObjectAppearance: Sendable {
    /// From the place's centre, in units, each in -2...2.
    public var offset: SIMD2<Float>
    /// In units, 10...12.
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
    graininess: Float, dullness: Float, flatness: Float, dinginess: Float, shadowLoss: Float,
    isPale: Bool, freshHue: Float, dingyHue: Float, objects: [ObjectAppearance], grain: [Float]
  ) {
    precondition(
      grain.count == WorldImage.cellCount,
      "there are \(WorldImage.cellCount) cells, but grain for \(grain.count)")
    self.graininess = graininess
    self.dullness = dullness
    self.flatness = flatness
    self.dinginess = dinginess
    self.shadowLoss = shadowLoss
    self.isPale = isPale
    self.freshHue = freshHue
    self.dingyHue = dingyHue
    self.objects = objects
    self.grain = grain
  }

  /// Draws an appearance for a scene of `objectCount` objects.
  ///
  /// Each of the five parts is clip(1.3 ((u + u_j) / 2 - 0.5) + 0.5) with a shared u and a u_j of its own,
  /// all uniform: some images are good in every respect, some bad, most are mixed. One image in
  /// three errs towards pale, the others towards muddy.
  public init(objectCount: Int, using stream: inout RandomStream) {
    let shared = stream.uniform()
    func badness() -> Float { unit(Float(1.3 * ((shared + stream.uniform()) / 2 - 0.5) + 0.5)) }
    func draw(_ range: ClosedRange<Float>) -> Float {
      range.lowerBound + (range.upperBound - range.lowerBound) * Float(stream.uniform())
    }
    self.init(
      graininess: badness(), dullness: badness(), flatness: badness(), dinginess: badness(),
      shadowLoss: badness(), isPale: stream.uniform() < 1.0 / 3, freshHue: draw(195...250),
      dingyHue: draw(25...55),
      objects: (0..<objectCount).map { _ in
        ObjectAppearance(
          offset: [draw(-2...2), draw(-2...2)], radius: draw(10...12), hueOffset: draw(-6...6))
      },
      grain: stream.normals(count: WorldImage.cellCount))
  }
}
