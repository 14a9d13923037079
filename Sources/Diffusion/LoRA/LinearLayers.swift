import Checkpoints

/// A linear layer of a model, or a convolution of 1 x 1.
public struct LinearLayer: Equatable, Sendable {
  /// Such as `down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q`.
  public let path: String
  public let inputs: Int
  public let outputs: Int
}

/// The linear layers of one part of a model.
///
/// kohya's files do not tell `.` from `_`; only the model knows where the dots of a path were.
public struct LinearLayers: Sendable {
  private let byModule: [String: LinearLayer]
  /// All weights of two dimensions and more, those of convolutions among them.
  private let weights: [String: TensorEntry]

  init(_ layers: [LinearLayer], weights: [TensorEntry] = []) {
    byModule = Dictionary(layers.map { (LoRAKey.normalized($0.path), $0) }) { first, _ in first }
    self.weights = Dictionary(
      weights.map { (LoRAKey.normalized(String($0.name.dropLast(Self.suffix.count))), $0) }
    ) { first, _ in first }
  }

  /// What a checkpoint holds as `PATH.weight` in the shape of a matrix.
  init(in checkpoint: any CheckpointSource) {
    self.init(
      checkpoint.entries.compactMap { entry in
        guard entry.name.hasSuffix(Self.suffix), entry.shape.count >= 2,
          entry.shape.dropFirst(2).allSatisfy({ $0 == 1 })
        else { return nil }
        return LinearLayer(
          path: String(entry.name.dropLast(Self.suffix.count)), inputs: entry.shape[1],
          outputs: entry.shape[0])
      },
      weights: checkpoint.entries.filter { $0.name.hasSuffix(Self.suffix) && $0.shape.count >= 2 })
  }

  /// The layer whose path is `module` once `.` is written as `_`.
  subscript(module: String) -> LinearLayer? { byModule[module] }

  /// The weight of any layer whose path is `module` once `.` is written as `_`.
  func weight(_ module: String) -> TensorEntry? { weights[module] }

  static let suffix = ".weight"
}

extension ModelFolder {
  /// The linear layers of the U-Net.
  public func unetLayers() throws -> LinearLayers {
    LinearLayers(in: try checkpoint("unet", stem: "diffusion_pytorch_model"))
  }
}
