import Checkpoints
import NN

/// Changes from LoRA files to be merged into a model's weights.
public struct ModelChanges: Sendable {
  /// The changes by the name of the part's folder, then by the name of the weight in its
  /// checkpoint.
  private var parts: [String: [String: [WeightChange]]] = [:]

  public init() {}

  /// - Parameter lora: a LoRA of the U-Net
  public init(_ lora: LoRAWeights) {
    for module in lora.modules {
      parts["unet", default: [:]][module.layer.path + LinearLayers.suffix] = [module.change(1)]
    }
  }

  /// The changes by the name of the weight; several changes of one weight add up.
  subscript(part: String) -> [String: [WeightChange]] { parts[part] ?? [:] }

  /// Adds everything that a file changes: low-rank terms, and whole weights.
  ///
  /// - Parameter strength: multiplies its contribution
  /// - Throws: `LoRAError` if a module fits no layer, if the file changes nothing, or if a number is not
  ///   finite
  public mutating func add(_ file: LoRAFile, strength: Float = 1, to model: ModelFolder) throws {
    guard try !file.changesNothing() else { throw LoRAError.changesNothing(path: file.path) }
    for component in file.modules.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
      let layers = try model.layers(of: component, for: file)
      let changes = try file.changes(of: component, layers, strength: strength)
      for (name, change) in changes {
        parts[component.rawValue, default: [:]][name, default: []].append(change)
      }
    }
  }
}

extension LoRAWeights.Module {
  func change(_ strength: Float) -> WeightChange {
    WeightChange(rank: rank, up: up, down: down, scale: strength, magnitude: nil)
  }
}

extension LoRAFile {
  /// Returns the file's changes to a part of a model, by weight name.
  fileprivate func changes(
    of component: LoRAKey.Component, _ layers: LinearLayers, strength: Float
  ) throws -> [String: WeightChange] {
    let modules = modules[component] ?? [:]
    let special = try modules.filter { try !isPlain($0.value) }
    let unknown = special.keys.filter { layers.weight($0) == nil }.sorted()
    guard unknown.isEmpty else {
      throw LoRAError.noSuchLayers(path: path, modules: unknown, component.text)
    }
    var changes: [String: WeightChange] = [:]
    for (name, module) in special.sorted(by: { $0.key < $1.key }) {
      guard let weight = layers.weight(name) else { continue }
      let change = try change(by: module, named: name, component, strength: strength)
      let columns = weight.shape.dropFirst().reduce(1, *)
      guard change.outputs == weight.shape[0], change.columns == columns else {
        throw LoRAError.weightMismatch(
          path: path, module: name, outputs: change.outputs, columns: change.columns,
          shape: weight.shape)
      }
      changes[weight.name] = change
    }
    let plain = try weights(
      of: modules.filter { try isPlain($0.value) }, component, for: layers)
    for module in plain.modules {
      changes[module.layer.path + LinearLayers.suffix] = module.change(strength)
    }
    return changes
  }
}

extension ModelFolder {
  /// Returns the layers of a part that a file adapts.
  fileprivate func layers(
    of component: LoRAKey.Component, for file: LoRAFile
  ) throws -> LinearLayers {
    guard component != .unet else { return try unetLayers() }
    guard hasPart(component.rawValue) else {
      throw LoRAError.noPart(path: file.path, component.text)
    }
    return LinearLayers(in: try checkpoint(component.rawValue, stem: "model")) {
      Self.currentTextKey($0)
    }
  }
}
