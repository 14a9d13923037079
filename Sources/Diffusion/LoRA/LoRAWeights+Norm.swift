public import Checkpoints

extension LoRAWeights {
  /// The Euclidean norm of the LoRA's whole contribution to weights, `sqrt(sum |up down|^2)`: how
  /// far the model has drifted.
  public var norm: Double {
    modules.reduce(0) { $0 + $1.squaredNorm }.squareRoot()
  }

  /// Returns the norm of the base weights that it modifies.
  ///
  /// - Parameter checkpoint: the part of the model that the LoRA belongs to
  public func baseNorm(in checkpoint: any CheckpointSource) throws -> Double {
    try modules.reduce(0.0) { sum, module in
      try checkpoint.floats(module.layer.path + LinearLayers.suffix).reduce(sum) {
        $0 + Double($1) * Double($1)
      }
    }.squareRoot()
  }
}

extension LoRAWeights.Module {
  /// `|up down|^2 = sum over i, j of (up' up)_ij (down down')_ij`, without forming the product.
  fileprivate var squaredNorm: Double {
    var sum = 0.0
    for i in 0..<rank {
      for j in 0..<rank {
        let ups = (0..<layer.outputs).reduce(0.0) {
          $0 + Double(up[$1 * rank + i]) * Double(up[$1 * rank + j])
        }
        let downs = (0..<layer.inputs).reduce(0.0) {
          $0 + Double(down[i * layer.inputs + $1]) * Double(down[j * layer.inputs + $1])
        }
        sum += ups * downs
      }
    }
    return max(0, sum)
  }
}
