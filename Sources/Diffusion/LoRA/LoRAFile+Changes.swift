import Checkpoints
import NN

/// Modules that change a weight as a whole: LoCon and DoRA.
extension LoRAFile {
  /// Whether a module is a low-rank term of a linear layer, or of a 1 x 1 convolution.
  func isPlain(_ module: Module) throws -> Bool {
    guard module.midKey == nil, module.magnitudeKey == nil else { return false }
    return try checkpoint.entry(module.downKey).shape.dropFirst(2).allSatisfy { $0 == 1 }
  }

  /// Returns the kind of a module in words.
  func kind(of module: Module) -> String { module.magnitudeKey == nil ? "LoCon" : "DoRA" }

  /// - Parameter strength: multiplies the module's contribution
  func change(
    by module: Module, named name: String, _ component: LoRAKey.Component, strength: Float
  ) throws -> WeightChange {
    let up = try matrixShape(module.upKey)
    let (rank, down) = try kernel(of: module, named: name, up)
    let scale = try scale(of: module, component, rank: rank)
    if let key = module.alphaKey, !scale.isFinite {
      throw LoRAError.notFinite(path: path, key: key, value: scale)
    }
    return WeightChange(
      rank: up[1], up: try finiteFloats(module.upKey), down: down, scale: strength * scale,
      magnitude: try module.magnitudeKey.map { try magnitude($0, outputs: up[0]) })
  }

  /// Returns the down matrix `[rank, inputs * kernel]`, including anything between it and the up
  /// matrix.
  ///
  /// - Returns: also the rank that divides alpha
  private func kernel(
    of module: Module, named name: String, _ up: [Int]
  ) throws -> (rank: Int, down: [Float]) {
    guard let midKey = module.midKey else {
      let shape = try checkpoint.entry(module.downKey).shape
      guard shape.count >= 2, shape.allSatisfy({ $0 > 0 }) else {
        throw LoRAError.unsupportedShape(path: path, key: module.downKey, shape: shape)
      }
      guard shape[0] == up[1] else {
        throw LoRAError.rankMismatch(path: path, module: name, down: shape, up: up)
      }
      return (shape[0], try finiteFloats(module.downKey))
    }
    let (down, mid) = (try matrixShape(module.downKey), try checkpoint.entry(midKey).shape)
    guard mid.count == 4, mid.allSatisfy({ $0 > 0 }) else {
      throw LoRAError.unsupportedShape(path: path, key: midKey, shape: mid)
    }
    guard mid[0] == up[1], mid[1] == down[0] else {
      throw LoRAError.rankMismatch(path: path, module: name, down: down, up: up)
    }
    let (downs, mids) = (try finiteFloats(module.downKey), try finiteFloats(midKey))
    let (inner, inputs, area) = (down[0], down[1], mid[2] * mid[3])
    var kernel = [Float](repeating: 0, count: mid[0] * inputs * area)
    for row in 0..<mid[0] {
      for input in 0..<inputs {
        for place in 0..<area {
          kernel[(row * inputs + input) * area + place] = (0..<inner).reduce(0) {
            $0 + mids[(row * inner + $1) * area + place] * downs[$1 * inputs + input]
          }
        }
      }
    }
    return (inner, kernel)
  }

  /// Returns the row norms `[outputs]`.
  ///
  /// They have trailing extents of 1, or, as peft writes those of convolutions, 1s on both sides. In
  /// that shape LyCORIS writes the norms of columns, as `dora_scale`.
  private func magnitude(_ key: String, outputs: Int) throws -> [Float] {
    let shape = try checkpoint.entry(key).shape
    let isOfRows =
      shape.first == outputs
      || shape.count == 4 && shape[1] == outputs && !key.hasSuffix(".dora_scale")
    guard isOfRows, shape.reduce(1, *) == outputs else {
      throw LoRAError.otherMagnitude(path: path, key: key, shape: shape, outputs: outputs)
    }
    return try finiteFloats(key)
  }
}
