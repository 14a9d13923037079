public import NN

/// A LoRA of a U-Net as arrays.
///
/// Scaled so that `alpha = rank`: a layer's weight gains `up down`, with no further factor.
/// Programs assume different alphas if a file does not state it; this way they all agree.
public struct LoRAWeights: Equatable, Sendable {
  public struct Module: Equatable, Sendable {
    public let layer: LinearLayer
    public let rank: Int
    /// Shape `[rank, inputs]`.
    public let down: [Float]
    /// Shape `[outputs, rank]`.
    public let up: [Float]
  }

  /// Sorted by the paths of their layers.
  public let modules: [Module]

  init(modules: [Module]) { self.modules = modules.sorted { $0.layer.path < $1.layer.path } }

  /// Creates weights trained from `AdapterSet.fresh`, whose arrays are named after their layers.
  public init(trained adapters: AdapterSet) {
    self.init(
      modules: adapters.all.map { adapter in
        let (down, up) = (adapter.down, adapter.up)
        precondition(
          down.name.hasSuffix(".down") && adapter.scale == 1, "\(down.name) is of another set")
        return Module(
          layer: LinearLayer(
            path: String(down.name.dropLast(".down".count)), inputs: down.storedShape[1],
            outputs: up.storedShape[0], isConvolution: down.storedShape.count > 2),
          rank: down.storedShape[0], down: down.storedValues, up: up.storedValues)
      })
  }
}

/// `|found - expected| / |expected|` in the Euclidean norm; 0 if both are 0.
func relativeError(_ found: [Float], _ expected: [Float]) -> Double {
  guard found.count == expected.count else { return .infinity }
  var (difference, norm) = (0.0, 0.0)
  for (a, b) in zip(found, expected) {
    difference += Double(a - b) * Double(a - b)
    norm += Double(b) * Double(b)
  }
  return difference == 0 ? 0 : (difference / norm).squareRoot()
}
