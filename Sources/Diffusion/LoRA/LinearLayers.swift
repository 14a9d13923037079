import Checkpoints

/// A linear layer of a model, or a 1 x 1 convolution.
public struct LinearLayer: Equatable, Sendable {
  /// The path, such as `down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q`.
  public let path: String
  public let inputs: Int
  public let outputs: Int
  /// Whether its weight, and so the matrices of a LoRA for it, have two more extents of 1.
  public let isConvolution: Bool
}

/// The linear layers of one part of a model.
///
/// kohya's files replace `.` by `_`; only the model knows where the dots of a path were.
public struct LinearLayers: Sendable {
  private let byModule: [String: LinearLayer]
  /// All weights with at least two dimensions, including those of convolutions.
  private let weights: [String: TensorEntry]

  init(_ layers: [LinearLayer]) {
    byModule = Dictionary(layers.map { (LoRAKey.normalized($0.path), $0) }) { first, _ in first }
    weights = [:]
  }

  /// Collects a checkpoint's `PATH.weight` tensors, in the shape of a matrix or of another kernel.
  ///
  /// - Parameter rename: maps a name in the checkpoint to the one in LoRA files, nil if it is not a
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
        outputs: entry.shape[0], isConvolution: entry.shape.count > 2)
    }
    byModule = layers
    self.weights = weights
  }

  /// The layer whose path becomes `module` when `.` is replaced by `_`.
  subscript(module: String) -> LinearLayer? { byModule[module] }

  /// Returns the weight of any layer whose path becomes `module` when `.` is replaced by `_`.
  func weight(_ module: String) -> TensorEntry? { weights[module] }

  static let suffix = ".weight"
}

extension ModelFolder {
  /// Returns the linear layers of the U-Net.
  public func unetLayers() throws -> LinearLayers {
    LinearLayers(in: try checkpoint("unet", stem: "diffusion_pytorch_model"))
  }
}
