import TensorCore

/// A LoRA module's change to a whole weight, if it is not a plain term of a linear layer: the
/// low-rank kernel of a convolution (LoCon), or a weight with new row norms (DoRA).
///
///     LoCon   W + s up down
///     DoRA    m (W + s up down) / |W + s up down|, row by row
///
/// - Source: Liu et al. 2024, arXiv 2402.09353; peft's `DoraLinearLayer` and `DoraConv2dLayer`
public struct WeightChange: Equatable, Sendable {
  public let rank: Int
  /// Shape `[outputs, rank]`.
  public let up: [Float]
  /// Shape `[rank, inputs * kernel]`.
  public let down: [Float]
  /// `alpha / rank`, times the strength that the user asked for.
  public let scale: Float
  /// The length of each row, `[outputs]`; nil: whatever it becomes.
  public let magnitude: [Float]?

  public init(rank: Int, up: [Float], down: [Float], scale: Float, magnitude: [Float]?) {
    self.rank = rank
    self.up = up
    self.down = down
    self.scale = scale
    self.magnitude = magnitude
  }

  public var outputs: Int { up.count / rank }
  /// Inputs times the extents of the kernel.
  public var columns: Int { down.count / rank }

  /// Adds to `sum` what the module changes about `weight`, `[outputs, columns]` each.
  public func add(to sum: inout [Float], changing weight: [Float]) {
    guard let magnitude else { return addProduct(to: &sum) }
    var moved = weight
    addProduct(to: &moved)
    for row in 0..<outputs {
      let range = row * columns..<(row + 1) * columns
      let length = moved[range].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      let factor = Float(Double(magnitude[row]) / length)
      for index in range { sum[index] += factor * moved[index] - weight[index] }
    }
  }

  private func addProduct(to weight: inout [Float]) {
    precondition(weight.count == outputs * columns, "\(weight.count) is not the weight's size")
    let up = scale == 1 ? up : up.map { scale * $0 }
    down.withUnsafeBufferPointer { down in
      up.withUnsafeBufferPointer { up in
        weight.withUnsafeMutableBufferPointer { weight in
          guard let down = down.baseAddress, let up = up.baseAddress,
            let weight = weight.baseAddress
          else { return }
          multiplyMatrices(
            MatrixPointer(up, stride: rank), RightFactor(down, stride: columns), into: weight,
            outputStride: columns, rows: outputs, columns: columns, inner: rank, keep: 1)
        }
      }
    }
  }
}

extension Weights {
  /// The array `weight` of a layer, with what the scope's adapters change about it as a whole.
  ///
  /// Terms of linear layers are added to what these give; those of convolutions become part of the weight.
  func adaptedWeight(
    shape: [Int], initial: Initializer, layout: WeightLayout = .asStored
  ) throws -> Parameter {
    let own = try parameter("weight", shape: shape, initial: initial, layout: layout)
    let changes =
      try adapters?.changes(for: path, shape: shape, takesTerms: layout == .convolution) ?? []
    guard !changes.isEmpty else { return own }
    let values = own.storedValues
    var sum = values
    for change in changes { change.add(to: &sum, changing: values) }
    return Parameter(
      name: own.name, storedShape: own.storedShape, layout: layout, isTrainable: false
    ) { _ = $0.update(fromContentsOf: sum) }
  }
}
