import Backends
public import Checkpoints
import NN

extension LoRAFile {
  /// Describes what the file adapts, one sentence per part of the model, such as `rank 8 in 128
  /// layers of unet, alpha 4 (scale 0.5), F16`.
  ///
  /// - Throws: `LoRAError` if the file cannot be added to any model
  public func summaries() throws -> [String] {
    // Checks that the modules' shapes are consistent, without reading plain ones.
    try withBackend(PlanningBackend()) { try add(to: ModelAdapters()) }
    return try modules.sorted { $0.key.rawValue < $1.key.rawValue }.map { component, modules in
      try summary(of: modules, in: component)
    }
  }

  private func summary(
    of modules: [String: Module], in component: LoRAKey.Component
  ) throws -> String {
    var (ranks, scales, alphas) = (Set<Int>(), Set<Float>(), Set<Float>())
    for module in modules.values {
      // In a Tucker decomposition, too, the extent on this side divides alpha.
      let rank = try checkpoint.entry(module.downKey).shape.first ?? 0
      let scale = try scale(of: module, component, rank: rank)
      ranks.insert(rank)
      scales.insert(scale)
      alphas.insert(try alpha(of: module, prefix: component.rawValue) ?? Float(rank))
    }
    let types = try Set(modules.values.map { try checkpoint.entry($0.downKey).type }).sorted()
    let kinds = try Set(modules.values.map { try isPlain($0) ? "LoRA" : kind(of: $0) })
    let prefix = kinds == ["LoRA"] ? "" : kinds.sorted().joined(separator: " and ") + ", "
    return "\(prefix)rank \(Self.text(ranks.sorted())) in \(modules.count) "
      + "\(modules.count == 1 ? "layer" : "layers") of \(component.rawValue), "
      + "alpha \(Self.text(alphas.sorted())) (scale \(Self.text(scales.sorted()))), "
      + types.map(\.rawValue).joined(separator: " and ")
  }

  /// Formats a few numbers individually, many as a range.
  private static func text<Number: CustomStringConvertible>(_ numbers: [Number]) -> String {
    let texts = numbers.map { number in
      let text = "\(number)"
      return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
    return texts.count > 3
      ? "\(texts[0]) to \(texts[texts.count - 1])" : texts.joined(separator: ", ")
  }

  /// Returns a known kind of other contents, with the name of a tensor that indicates it.
  public static func foreignKind(
    in file: any CheckpointSource
  ) -> (key: String, kind: String)? {
    file.entries.lazy.compactMap { entry in
      LoRAKey.foreignKind(of: entry.name).map { (entry.name, $0) }
    }.first
  }
}

extension LoRAError {
  /// Whether the file is intact but of another kind.
  public var isOfOtherContents: Bool {
    switch self {
    case .unknownKey, .isModel, .foreignKind: true
    default: false
    }
  }
}
