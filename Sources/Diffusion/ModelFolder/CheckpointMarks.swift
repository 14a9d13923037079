import Checkpoints
public import Files

/// Marks in a weights file that tell how its model was trained: tensors that exist only for their
/// names, and entries of its header.
///
/// Known marks are obeyed; those of a process other than the discrete one supported here are
/// rejected by name.
///
/// - Source: ComfyUI's `supported_models.py`; Stability's `modelspec` (sai_model_spec 1.0.1)
struct CheckpointMarks: Equatable {
  /// Nil: unspecified.
  let prediction: PredictionType?
  /// Whether the schedule is rescaled so that its last timestep is pure noise.
  let endsInPureNoise: Bool

  /// - Throws: `CheckpointMarkError`
  init(_ source: any CheckpointSource) throws {
    let metadata = source.metadata
    for entry in source.entries where Self.isOfContinuousProcess(entry.name) {
      throw CheckpointMarkError.unsupported(
        path: source.path, mark: "tensor \(entry.name)",
        meaning: "a model with continuous noise levels (EDM)")
    }
    for entry in source.entries where Self.isScale(entry.name) {
      throw CheckpointMarkError.unsupported(
        path: source.path, mark: "tensor \(entry.name)",
        meaning: "weights that are stored divided by a scale (scaled F8)")
    }
    var found: (mark: String, prediction: PredictionType)?
    func note(_ mark: String, _ prediction: PredictionType) throws {
      if let found, found.prediction != prediction {
        throw CheckpointMarkError.contradictory(path: source.path, found.mark, mark)
      }
      found = (mark, prediction)
    }
    if source.find("v_pred") != nil { try note("tensor v_pred", .velocity) }
    for key in ["modelspec.prediction_type", "modelspec.predict_key"] {
      guard let text = metadata[key], !text.isEmpty else { continue }
      guard let prediction = Self.predictions[text.lowercased()] else {
        throw CheckpointMarkError.unsupported(
          path: source.path, mark: "\(key) \"\(text.prefix(40))\"",
          meaning: "a model that predicts something other than noise, velocity or the image")
      }
      try note("\(key) \"\(text)\"", prediction)
    }
    prediction = found?.prediction
    endsInPureNoise = source.find("ztsnr") != nil
  }

  /// Playground 2.5 has `edm_mean` and `edm_std`, CosXL `edm_vpred.sigma_max` and `.sigma_min`.
  private static func isOfContinuousProcess(_ name: String) -> Bool {
    ["edm_mean", "edm_std"].contains(name) || name.hasPrefix("edm_vpred.")
  }

  /// ComfyUI's scaled files have `scaled_fp8` and a scale next to each weight.
  private static func isScale(_ name: String) -> Bool {
    name.hasSuffix("scaled_fp8")
      || [".scale_weight", ".weight_scale", ".scale_input"].contains(where: name.hasSuffix)
  }

  private static let predictions: [String: PredictionType] = [
    "epsilon": .noise, "eps": .noise, "v": .velocity, "v_prediction": .velocity,
    "v-prediction": .velocity, "vpred": .velocity, "sample": .x0, "x0": .x0,
  ]
}

/// Why a file's marks rule it out as a model.
public enum CheckpointMarkError: ClassifiedError, Equatable, CustomStringConvertible {
  case unsupported(path: String, mark: String, meaning: String)
  case contradictory(path: String, String, String)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .unsupported(let path, let mark, let meaning):
      "\(path): \(mark) marks \(meaning), which is not supported"
    case .contradictory(let path, let one, let other):
      "\(path): \(one) and \(other) contradict each other"
    }
  }
}
