import Autograd
import Diffusion
import NN
import PreferenceModels

extension Operation {
  static let preference = Operation("preference", isOfPreferenceModel: true) { options, inputs in
    let model = try options.model.preferenceModel().model
    let image = try inputs.images("image", channels: 3)
    let (ids, timesteps) = try inputs.promptsAndSteps(of: model, batch: image.shape[0])
    let score = model.imageScorer.score(
      image: model.imageScorer.embedding(
        of: model.imageScorer.scoringPixels(image), timesteps: timesteps),
      text: try model.prompts(ids))
    return [("score", score)]
  }

  static let preferenceLoss = Operation("spm.loss", isOfPreferenceModel: true) { options, inputs in
    let (model, weights) = try options.model.preferenceModel(isTrainable: true)
    let first = try inputs.images("image_0", channels: 3)
    let batch = first.shape[0]
    let second = try inputs.images("image_1", channels: 3, batch: batch)
    let (ids, timesteps) = try inputs.promptsAndSteps(of: model, batch: batch)
    let firsts = try inputs.numbers("label_0", batch: batch, in: 0...1, "0 to 1")
    let seconds = try inputs.numbers("label_1", batch: batch, in: 0...1, "0 to 1")
    let examples = try inputs.numbers(
      "examples_per_prompt", batch: batch, in: .leastNormalMagnitude...(.greatestFiniteMagnitude),
      "more than 0")
    let labels = (0..<batch).map {
      PreferenceLabel(first: firsts[$0], second: seconds[$0], examplesPerPrompt: examples[$0])
    }
    let text = try model.prompts(ids)
    let scores = [first, second].map { image in
      model.imageScorer.score(
        image: model.imageScorer.embedding(
          of: model.imageScorer.trainingPixels(image), timesteps: timesteps),
        text: text)
    }
    let loss = PreferenceModels.preferenceLoss(scores: (scores[0], scores[1]), labels: labels)
    let found = gradients(of: loss, for: weights.parameters.map(\.tensor))
    return [("loss", loss), ("score_0", scores[0]), ("score_1", scores[1])]
      + zip(weights.parameters, found).map { parameter, gradient in
        let zero = Tensor(repeating: 0, shape: parameter.tensor.shape)
        return ("grad.\(parameter.name)", parameter.stored(gradient ?? zero))
      }
  }
}

extension InputTensors {
  fileprivate func promptsAndSteps(
    of model: PreferenceModel, batch: Int
  ) throws -> ([[Int]], [Float]) {
    let text = model.configuration.text
    let ids = try tokenIDs("input_ids", limit: text.tokens, vocabulary: text.vocabularySize)
    guard ids.count == batch else {
      throw InputError.shapeMismatch(
        name: "input_ids", expected: "[\(batch), any]", found: [ids.count, ids[0].count])
    }
    return (ids, try timesteps(batch: batch).map(Float.init))
  }
}
