import Checkpoints
public import NN

/// Modules that change a whole weight: LoCon and DoRA.
extension LoRAFile {
  /// Whether a module is a low-rank term of a linear layer, or of a convolution of 1 x 1.
  func isPlain(_ module: Module) throws -> Bool {
    guard module.midKey == nil, module.magnitudeKey == nil else { return false }
    return try checkpoint.entry(module.downKey).shape.dropFirst(2).allSatisfy { $0 == 1 }
  }

  /// In words.
  func kind(of module: Module) -> String { module.magnitudeKey == nil ? "LoCon" : "DoRA" }

  /// All that the file changes about the U-Net, for merging: plain terms, and changes of whole weights by
  /// the names of the weights.
  ///
  /// - Throws: `LoRAError` if a module fits no layer, if the file adapts text encoders too, if it changes
  ///   nothing, or if a number is not finite
  public func mergeable(
    into model: ModelFolder
  ) throws -> (lora: LoRAWeights, changes: [String: WeightChange]) {
    let unet = modules[.unet] ?? [:]
    guard Set(modules.keys).isSubset(of: [.unet]) else {
      throw LoRAError.textEncoders(path: path)
    }
    guard try !changesNothing() else { throw LoRAError.changesNothing(path: path) }
    let layers = try model.unetLayers()
    let special = try unet.filter { try !isPlain($0.value) }
    let unknown = special.keys.filter { layers.weight($0) == nil }.sorted()
    guard unknown.isEmpty else { throw LoRAError.noSuchLayers(path: path, modules: unknown) }
    var changes: [String: WeightChange] = [:]
    for (name, module) in special.sorted(by: { $0.key < $1.key }) {
      guard let weight = layers.weight(name) else { continue }
      let change = try change(by: module, named: name, .unet, strength: 1)
      let columns = weight.shape.dropFirst().reduce(1, *)
      guard change.outputs == weight.shape[0], change.columns == columns else {
        throw LoRAError.weightMismatch(
          path: path, module: name, outputs: change.outputs, columns: change.columns,
          shape: weight.shape)
      }
      changes[weight.name] = change
    }
    let plain = try unet.filter { try isPlain($0.value) }
    return (try weights(of: plain, for: layers), changes)
  }

  /// - Parameter strength: multiplies what the module adds
  func change(
    by module: Module, named name: String, _ component: LoRAKey.Component, strength: Float
  ) throws -> WeightChange {
    let up = try matrixShape(module.upKey)
    let (rank, down) = try kernel(of: module, named: name, up)
    let scale = try scale(of: module, named: name, component, rank: rank)
    if let key = module.alphaKey, !scale.isFinite {
      throw LoRAError.notFinite(path: path, key: key, value: scale)
    }
    return WeightChange(
      rank: up[1], up: try finiteFloats(module.upKey), down: down, scale: strength * scale,
      magnitude: try module.magnitudeKey.map { try magnitude($0, outputs: up[0]) })
  }

  /// The down matrix `[rank, inputs * kernel]`, with what lies between it and the up matrix.
  ///
  /// - Returns: and the rank that alpha is divided by
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

  /// The lengths of rows: `[outputs]`, with extents of 1 after it, or, as peft keeps them of convolutions,
  /// around it.
  private func magnitude(_ key: String, outputs: Int) throws -> [Float] {
    let shape = try checkpoint.entry(key).shape
    let isOfRows = shape.first == outputs || shape.count == 4 && shape[1] == outputs
    guard isOfRows, shape.reduce(1, *) == outputs else {
      throw LoRAError.otherMagnitude(path: path, key: key, shape: shape, outputs: outputs)
    }
    return try finiteFloats(key)
  }
}
