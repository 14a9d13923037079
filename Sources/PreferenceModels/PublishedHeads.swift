import Checkpoints
import HostResources
import NN

/// The projections and the scale of a published latent reward model: `state_dict.pt`, a torch file
/// whose scale is a tensor or a plain number.
///
/// - Source: github.com/Kwai-Kolors/LPO, `sd15_preference_model.py`
struct PublishedHeads: WeightSource {
  static let fileName = "state_dict.pt"
  /// The guidance scale in the published code; its files do not contain it.
  static let guidance: Float = 7.5

  private static let scaleName = "logit_scale"
  private let tensors: CheckpointWeights
  /// Nil if it is a tensor.
  private let scale: Float?

  init(path: String) throws {
    let checkpoint = try TorchCheckpoint(path: path)
    tensors = try CheckpointWeights(checkpoint)
    scale = checkpoint.numbers[Self.scaleName].map { Float($0) }
    if let scale, !scale.isFinite {
      throw NonFiniteTensorError(
        path: path, tensor: Self.scaleName, position: 0, isNaN: scale.isNaN)
    }
  }

  var path: String? { tensors.path }
  var names: [String] { tensors.names + (scale == nil ? [] : [Self.scaleName]) }

  private func isNumber(_ name: String) -> Bool { scale != nil && name == Self.scaleName }

  func shape(of name: String) -> [Int]? { isNumber(name) ? [] : tensors.shape(of: name) }

  func requireFloats(_ name: String) throws {
    if !isNumber(name) { try tensors.requireFloats(name) }
  }

  func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
    if let scale, isNumber(name) { return destination.update(repeating: scale) }
    try tensors.read(name, into: destination)
  }

  func halfFormat(of name: String) -> HalfFormat? {
    isNumber(name) ? nil : tensors.halfFormat(of: name)
  }

  func readHalf(
    _ name: String, into destination: UnsafeMutableBufferPointer<UInt16>
  ) throws { try tensors.readHalf(name, into: destination) }
}
