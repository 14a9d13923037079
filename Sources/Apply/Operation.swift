public import Autograd
public import Diffusion
import NN

/// The options of an operation besides its tensors.
public struct OperationOptions {
  public var model: ModelFolder
  public var loraPath: String?
  public var steps = 20
  public var eta: Float = 1
  public var guidance: Float = 5
  public var beta: Float = 10
  public var clip: Float = 0.1
  public var usesGradientCheckpointing = false

  public init(model: ModelFolder) { self.model = model }
}

/// One part of a model or of the method, run on tensors from a file: what `spo apply` calls.
///
/// Outputs are in the layout of checkpoints, `[batch, channels, height, width]`.
public struct Operation: Sendable {
  public let name: String
  /// Whether its model is a preference model, and not one of diffusion.
  public let isOfPreferenceModel: Bool
  private let apply: @Sendable (OperationOptions, InputTensors) throws -> [(String, Tensor)]

  init(
    _ name: String, isOfPreferenceModel: Bool = false,
    _ apply: @escaping @Sendable (OperationOptions, InputTensors) throws -> [(String, Tensor)]
  ) {
    self.name = name
    self.isOfPreferenceModel = isOfPreferenceModel
    self.apply = apply
  }

  /// - Throws: `InputError`, `NonFiniteError`; what opening the model throws
  public func callAsFunction(
    _ options: OperationOptions, _ inputs: InputTensors
  ) throws -> [(name: String, tensor: Tensor)] {
    let outputs = try apply(options, inputs)
    try inputs.requireAllTaken()
    for (output, tensor) in outputs { try tensor.requiringFinite("\(name), output \(output)") }
    return outputs
  }

  public static let all: [Operation] = [
    textEncoder("text_encoder"), textEncoder("text_encoder_2"), unet, encode, decode,
    preference, preferenceLoss, ddim, stepwiseLoss, directLoss,
  ]
}
