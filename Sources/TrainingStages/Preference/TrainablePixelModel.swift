import Autograd
import Checkpoints
import Diffusion
import Files
import NN
import PreferenceModels
import Shards

/// The step-aware preference model in training, which sees the diffusion model's x0 predictions
/// from noised latents.
struct TrainablePixelModel: TrainablePreferenceModel {
  let model: PreferenceModel
  let parameters: [Parameter]
  let estimated: EstimatedImages
  /// The images of the validation split.
  let store: ImageStore
  /// Whether the store also has those of the training split; otherwise they are generated each
  /// time.
  let storesTraining: Bool
  /// The folder with the configuration files that the model was built from.
  let start: String
  /// Whether the model is conditioned on timesteps rather than always on 0.
  let isStepAware: Bool

  func scores(
    _ examples: PreferenceExamples, of pairs: [Int], _ views: [PreferenceView]
  ) throws -> (first: Tensor, second: Tensor) {
    let split = examples.shards.split
    let shown =
      try storesTraining || split != "train"
      ? store.images(split, of: pairs, views, side: estimated.side)
      : estimated(examples, of: pairs, views)
    let timesteps = zip(pairs, views).map {
      isStepAware ? Float(examples.timestep(of: $0, $1)) : 0
    }
    let images = model.imageScorer.embedding(
      of: model.imageScorer.normalized(shown), timesteps: timesteps + timesteps)
    let texts = try model.prompts(try examples.ids(of: pairs))
    let halves = images.split(axis: 0, into: 2)
    return (
      model.imageScorer.score(image: halves[0], text: texts),
      model.imageScorer.score(image: halves[1], text: texts)
    )
  }

  func write(to folder: String, precision: WeightPrecision, metadata: [String: String]) throws {
    for name in ["config.json", "preprocessor_config.json"] {
      let bytes = try RegularFile(path: "\(start)/\(name)").readAll()
      try AtomicFile.replace("\(folder)/\(name)", with: bytes)
    }
    try writeSafetensors(
      parameters.map { OutgoingTensor($0.name, finished: $0, precision: precision) },
      metadata: metadata, to: "\(folder)/model.safetensors")
  }
}
