import Checkpoints

extension LoRAFile {
  /// Returns the adapters of the U-Net as arrays.
  ///
  /// - Parameter layers: the layers of the U-Net that the file belongs to
  /// - Throws: `LoRAError` if a module fits no layer, if the file adapts text encoders too, or if a
  ///   number is not finite
  public func weights(for layers: LinearLayers) throws -> LoRAWeights {
    guard Set(modules.keys).isSubset(of: [.unet]) else {
      throw LoRAError.textEncoders(path: path)
    }
    let unet = modules[.unet] ?? [:]
    for (name, module) in unet.sorted(by: { $0.key < $1.key }) where try !isPlain(module) {
      throw LoRAError.notPlain(path: path, module: name, kind(of: module))
    }
    return try weights(of: unet, .unet, for: layers)
  }

  /// Returns plain modules as arrays.
  func weights(
    of modules: [String: Module], _ component: LoRAKey.Component, for layers: LinearLayers
  ) throws -> LoRAWeights {
    let modules = modules.sorted { $0.key < $1.key }
    let unknown = modules.map(\.key).filter { layers[$0] == nil }
    guard unknown.isEmpty else {
      throw LoRAError.noSuchLayers(path: path, modules: unknown, component.text)
    }
    return LoRAWeights(
      modules: try modules.compactMap { name, module in
        try layers[name].map { try weights(of: module, named: name, component, layer: $0) }
      })
  }

  /// Returns the same for further use: a file without any effect is rejected.
  ///
  /// - Throws: `LoRAError.changesNothing`, and errors of ``weights(for:)``
  public func effectiveWeights(for layers: LinearLayers) throws -> LoRAWeights {
    let weights = try weights(for: layers)
    guard try !changesNothing() else { throw LoRAError.changesNothing(path: path) }
    return weights
  }

  /// Whether adding it to any model has no effect.
  public func changesNothing() throws -> Bool {
    try modules.values.joined().allSatisfy { _, module in
      try module.magnitudeKey == nil && checkpoint.floats(module.upKey).allSatisfy { $0 == 0 }
    }
  }

  func finiteFloats(_ key: String) throws -> [Float] {
    let values = try checkpoint.floats(key)
    guard let value = values.first(where: { !$0.isFinite }) else { return values }
    throw LoRAError.notFinite(path: path, key: key, value: value)
  }

  private func weights(
    of module: Module, named name: String, _ component: LoRAKey.Component, layer: LinearLayer
  ) throws -> LoRAWeights.Module {
    let (down, up) = (try matrixShape(module.downKey), try matrixShape(module.upKey))
    guard down[0] == up[1] else {
      throw LoRAError.rankMismatch(path: path, module: name, down: down, up: up)
    }
    guard down[1] == layer.inputs, up[0] == layer.outputs else {
      throw LoRAError.layerMismatch(path: path, down: down, up: up, layer: layer)
    }
    let rank = down[0]
    let scale = try scale(of: module, component, rank: rank)
    if let key = module.alphaKey, !scale.isFinite {
      throw LoRAError.notFinite(path: path, key: key, value: scale)
    }
    let values = try finiteFloats(module.upKey)
    return LoRAWeights.Module(
      layer: layer, rank: rank, down: try finiteFloats(module.downKey),
      up: scale == 1 ? values : values.map { scale * $0 })
  }
}
