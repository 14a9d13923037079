import Autograd
import Checkpoints
import Diffusion
import Files
import NN
import PipelineCore
import PreferenceModels
import Shards
import StageSupport

/// The latent preference model in training, which sees the noised latents themselves.
struct TrainableLatentModel: TrainablePreferenceModel {
  let model: LatentPreferenceModel
  let schedule: NoiseSchedule
  /// The diffusion model that it started from.
  let base: ModelFolder
  /// Whether the model is conditioned on timesteps rather than always on 0.
  let isStepAware: Bool

  var parameters: [Parameter] { model.parameters }

  func scores(
    _ examples: PreferenceExamples, of pairs: [Int], _ views: [PreferenceView]
  ) throws -> (first: Tensor, second: Tensor) {
    let latents = try examples.latents(of: pairs, views)
    let timesteps = zip(pairs, views).map { examples.timestep(of: $0, $1) }
    let shown =
      views.first == .clean
      ? latents
      : schedule.noised(
        latents, with: examples.noise(for: pairs, views), timesteps: timesteps + timesteps)
    let rows = Array(pairs.indices)
    let scores = model.scores(
      of: shown, timesteps: (timesteps + timesteps).map { isStepAware ? Float($0) : 0 },
      for: try model.prompts(examples.texts(of: pairs)).rows(at: rows + rows))
    let halves = scores.split(axis: 0, into: 2)
    return (halves[0], halves[1])
  }

  /// Writes the U-Net and the text encoders in the layout of diffusers, the heads in
  /// `model.safetensors`.
  func write(to folder: String, precision: WeightPrecision, metadata: [String: String]) throws {
    let parts = Dictionary(grouping: parameters) { parameter in
      ["unet", "text_encoder", "text_encoder_2"].first { parameter.name.hasPrefix($0 + ".") }
    }
    for (part, parameters) in parts {
      let partFolder = part.map { "\(folder)/\($0)" } ?? folder
      try Folders.make(partFolder)
      let prefix = part.map { $0 + "." } ?? ""
      let stem = part == "unet" ? "diffusion_pytorch_model" : "model"
      try writeSafetensors(
        parameters.map {
          OutgoingTensor(
            String($0.name.dropFirst(prefix.count)), finished: $0, precision: precision)
        },
        metadata: metadata, to: "\(partFolder)/\(stem).safetensors")
      try writeJSON(
        try part.map { try base.configuration($0).value }
          ?? [
            "model_type": "latent_preference_model",
            LatentPreferenceModel.guidanceField: .number(Double(model.guidance)),
          ], to: "\(partFolder)/config.json")
    }
  }
}
