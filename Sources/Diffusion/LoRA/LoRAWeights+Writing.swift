import Checkpoints

extension LoRAWeights {
  /// The naming schemes for written files; one per file, since readers decide by the first key.
  public enum Form: Sendable {
    /// `unet.PATH.lora.down.weight`
    case diffusers
    /// `unet.PATH.lora_A.weight`
    case peft
    /// kohya's `lora_unet_PATH.lora_down.weight`, with `_` for `.`, and `.alpha`.
    case webUI(WebUIHeader)
  }

  /// Writes a safetensors file and verifies it before renaming it into place: the number of arrays,
  /// every key against the readers' rule for this form, every module, and each contribution, within
  /// the rounding of `precision`.
  ///
  /// - Parameter provenance: the LoRA's origin, for the header
  /// - Throws: `LoRAError.overflow` or `.imprecise` if `precision` cannot represent the numbers,
  ///   `CheckpointError`, `FileError`; an existing file at `path` is then unchanged
  public func write(
    to path: String, as form: Form, precision: WeightPrecision, provenance: Provenance? = nil
  ) throws {
    let tensors = modules.flatMap { self.tensors(of: $0, form, precision.elementType) }
    var metadata = ["format": "pt"]
    if case .webUI(let header) = form {
      metadata = header.pairs(self, digest: try safetensorsDataDigest(tensors))
      metadata["modelspec.date"] = try SourceDate.current()
    }
    metadata.merge(try provenance?.pairs() ?? [:]) { $1 }
    for module in modules {
      for (name, values) in [("down", module.down), ("up", module.up)] {
        guard let value = precision.firstOverflow(in: values) else { continue }
        throw LoRAError.overflow(
          path: path, array: "the \(name) matrix of \(module.layer.path)", value: value,
          precision: precision)
      }
    }
    try writeSafetensors(tensors, metadata: metadata, to: path) { file in
      try verify(file, form, tensorCount: tensors.count, precision: precision)
    }
  }

  private func tensors(
    of module: Module, _ form: Form, _ type: ElementType
  ) -> [OutgoingTensor] {
    let layer = module.layer
    // diffusers, PEFT and the webui make a layer's adapters of its own kind.
    let kernel = layer.isConvolution ? [1, 1] : []
    func pair(_ downKey: String, _ upKey: String) -> [OutgoingTensor] {
      [
        OutgoingTensor(
          downKey, type: type, shape: [module.rank, layer.inputs] + kernel,
          floats: { module.down }),
        OutgoingTensor(
          upKey, type: type, shape: [layer.outputs, module.rank] + kernel, floats: { module.up }),
      ]
    }
    switch form {
    case .diffusers:
      let stem = "unet.\(layer.path)"
      return pair("\(stem).lora.down.weight", "\(stem).lora.up.weight")
    case .peft:
      let stem = "unet.\(layer.path)"
      return pair("\(stem).lora_A.weight", "\(stem).lora_B.weight")
    case .webUI(let header):
      let name = LoRAKey.normalized(layer.path)
      let stem =
        "lora_unet_\(header.blockNames == .sgm ? LDMBlockNames.ldm(name) : name)"
      let alpha = OutgoingTensor(
        "\(stem).alpha", type: type, shape: [], floats: { [Float(module.rank)] })
      return pair("\(stem).lora_down.weight", "\(stem).lora_up.weight") + [alpha]
    }
  }

  private func verify(
    _ written: SafetensorsFile, _ form: Form, tensorCount: Int, precision: WeightPrecision
  ) throws {
    let path = written.path
    let file = try LoRAFile(written)
    let isKnown = form.readersRule(for: modules.map(\.layer.path))
    if let key = file.checkpoint.entries.map(\.name).first(where: { !isKnown($0) }) {
      throw LoRAError.unknownKey(path: path, key: key)
    }
    let found = try file.weights(for: LinearLayers(modules.map(\.layer)))
    guard file.checkpoint.entries.count == tensorCount,
      found.modules.map(\.layer) == modules.map(\.layer)
    else {
      throw LoRAError.unlike(
        path: path, expected: tensorCount, found: file.checkpoint.entries.count)
    }
    for (found, module) in zip(found.modules, modules) {
      let error = max(
        relativeError(found.down, module.down), relativeError(found.up, module.up))
      // Not `>`, which is false for NaN.
      guard error <= precision.tolerance else {
        throw LoRAError.imprecise(
          path: path, module: module.layer.path, error: error, precision: precision)
      }
    }
  }
}

extension LoRAWeights.Form {
  /// Returns whether readers of this form find a key, for layers with these paths.
  ///
  /// diffusers and PEFT strip the model's prefix and the suffix and look up a layer with the
  /// remaining name. The webui and ComfyUI cut at the first dot and look up a module under its name
  /// in either scheme, with `_` for `.`.
  fileprivate func readersRule(for paths: [String]) -> (String) -> Bool {
    let endings: [String]
    let stems: Set<String>
    switch self {
    case .diffusers:
      endings = [".lora.down.weight", ".lora.up.weight"]
      stems = Set(paths.map { "unet.\($0)" })
    case .peft:
      endings = [".lora_A.weight", ".lora_B.weight"]
      stems = Set(paths.map { "unet.\($0)" })
    case .webUI(let header):
      endings = [".lora_down.weight", ".lora_up.weight", ".alpha"]
      let names = paths.map(LoRAKey.normalized)
      stems = Set(
        (header.blockNames == .sgm ? names.map(LDMBlockNames.ldm) : names)
          .map { "lora_unet_\($0)" })
    }
    return { key in
      endings.contains { key.hasSuffix($0) && stems.contains(String(key.dropLast($0.count))) }
    }
  }
}
