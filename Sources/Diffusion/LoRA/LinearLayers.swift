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

  init(_ layers: [LinearLayer]) {
    byModule = Dictionary(layers.map { (LoRAKey.normalized($0.path), $0) }) { first, _ in first }
    weights = [:]
  }

  /// What a checkpoint holds as `PATH.weight`, in the shape of a matrix or of another kernel.
  ///
  /// - Parameter rename: from a name in the checkpoint to the one that LoRA files go by, nil for what is no
  ///   weight
  init(
    in checkpoint: any CheckpointSource, rename: (String) -> String? = { $0 }
  ) {
    var (layers, weights) = ([String: LinearLayer](), [String: TensorEntry]())
    for entry in checkpoint.entries where entry.name.hasSuffix(Self.suffix) {
      guard entry.shape.count >= 2, let name = rename(entry.name) else { continue }
      let module = LoRAKey.normalized(String(name.dropLast(Self.suffix.count)))
      weights[module] = entry
      guard entry.shape.dropFirst(2).allSatisfy({ $0 == 1 }) else { continue }
      layers[module] = LinearLayer(
        path: String(entry.name.dropLast(Self.suffix.count)), inputs: entry.shape[1],
        outputs: entry.shape[0])
    }
    byModule = layers
    self.weights = weights
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
