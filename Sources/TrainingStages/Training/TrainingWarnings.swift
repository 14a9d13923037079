import Diffusion
import Files
import NN
import PipelineCore
import StageSupport

/// Reasons to doubt the result of a training stage: `warnings.json`, next to its metrics.
///
/// Warnings are derived from the stage's records, so that an interrupted run gives the same ones as
/// an uninterrupted run.
package struct TrainingWarnings {
  private static let fileName = "warnings.json"

  static func write(_ warnings: [String], to folder: String) throws {
    try writeJSON(
      ["warnings": .array(warnings.map { .string($0) })], to: "\(folder)/\(fileName)")
  }

  /// - Parameter norms: the gradient norms of all updates
  static func ofGradients(_ norms: [Double], of stage: String) -> [String] {
    // If the loss does not depend on the weights, rounding leaves 1e-6 and less; otherwise 0.01 and
    // more.
    guard let largest = norms.max(), largest < 1e-5 else { return [] }
    return [
      "\(stage): the gradients vanish (their norm is \(TuningFindings.text(largest)) at most), so "
        + "only rounding errors were learned; check the training images and the settings"
    ]
  }

  /// Returns warnings about a LoRA with almost no effect: none of its images would differ.
  ///
  /// - Parameter model: the model whose U-Net it is added to
  static func ofChange(
    _ lora: LoRAWeights, of model: ModelFolder, stage: String
  ) throws -> [String] {
    let base = try lora.baseNorm(in: model.checkpoint("unet", stem: "diffusion_pytorch_model"))
    let share = lora.norm / max(base, .leastNormalMagnitude)
    guard share < 1e-5 else { return [] }
    return [
      "\(stage): the LoRA changes the weights by \(TuningFindings.text(share)) of their norm, "
        + "too little to show in an image; raise \(stage).learning_rate or train for longer"
    ]
  }

  /// Returns warnings about learning rates that together move weights by less than their rounding.
  static func ofRates(_ schedule: LearningRateSchedule, steps: Int, stage: String) -> [String] {
    let reach = (0..<steps).reduce(0.0) { $0 + Double(schedule.rate(at: $1)) }
    guard reach < 1e-6 else { return [] }
    return [
      "\(stage): the learning rates of all \(steps) steps add up to \(TuningFindings.text(reach)), so "
        + "no weight can have moved much further; raise \(stage).learning_rate or train for longer"
    ]
  }

  /// Reads the warnings; empty if the stage has not finished.
  package static func read(from folder: String) throws -> [String] {
    let path = "\(folder)/\(fileName)"
    guard Folders.exists(path) else { return [] }
    return try JSONReader(contentsOf: path)["warnings"].elements().map { try $0.string() }
  }
}
