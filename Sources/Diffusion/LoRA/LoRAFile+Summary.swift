import Checkpoints

extension LoRAFile {
  /// What the file adapts, in words, such as `rank 8 in 128 layers of unet`.
  public var summary: String {
    let shapes = Dictionary(checkpoint.entries.map { ($0.name, $0.shape) }) { first, _ in first }
    return modules.sorted { $0.key.rawValue < $1.key.rawValue }.map { component, modules in
      let ranks = Set(modules.values.compactMap { shapes[$0.downKey]?.first }).sorted()
      let text =
        ranks.count > 3
        ? "\(ranks[0]) to \(ranks[ranks.count - 1])"
        : ranks.map(String.init)
          .joined(separator: ", ")
      let layers = modules.count == 1 ? "layer" : "layers"
      let isDoRA = modules.values.contains { $0.magnitudeKey != nil }
      return "\(isDoRA ? "DoRA, " : "")rank \(text) in \(modules.count) \(layers) of "
        + component.rawValue
    }.joined(separator: "; ")
  }
}
