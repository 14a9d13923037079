import Autograd
import PreferenceModels
import Shards

/// A preference model with what it is shown.
struct PreferenceTrainer {
  let model: PreferenceModel
  let pictures: EstimatedPictures
  let store: PictureStore

  /// Scores of both pictures of comparisons.
  ///
  /// - Parameters:
  ///   - views: one for each comparison; clean ones and others do not mix
  ///   - isStored: whether the store holds these pictures; otherwise they are made
  func scores(
    _ examples: PreferenceExamples, of pairs: [Int], _ views: [PreferenceView], isStored: Bool
  ) throws -> (first: Tensor, second: Tensor) {
    let shown =
      try isStored
      ? store.pictures(examples.shards.split, of: pairs, views, side: pictures.side)
      : pictures(examples, of: pairs, views)
    let timesteps = zip(pairs, views).map { Float(examples.timestep(of: $0, $1)) }
    let images = model.imageEmbedding(
      model.normalized(shown), timesteps: timesteps + timesteps)
    let texts = model.textEmbedding(try examples.ids(of: pairs))
    let halves = images.split(axis: 0, into: 2)
    return (model.score(image: halves[0], text: texts), model.score(image: halves[1], text: texts))
  }

  /// How often the scores order comparisons as their labels do; ties are left out.
  ///
  /// The pictures must be in the store.
  func accuracy(
    _ examples: PreferenceExamples, count: Int, _ view: PreferenceView, batch: Int
  ) throws -> (share: Double, count: Int) {
    let decided = try (0..<count).filter { number in
      let pair = try examples.shards.pair(number)
      return pair.label0 != pair.label1
    }
    var correct = 0
    for start in stride(from: 0, to: decided.count, by: batch) {
      let pairs = Array(decided[start..<min(start + batch, decided.count)])
      let scores = try withoutGradients {
        try self.scores(examples, of: pairs, pairs.map { _ in view }, isStored: true)
      }
      for (index, label) in try examples.labels(of: pairs).enumerated() {
        let margin = scores.first.pointer[index] - scores.second.pointer[index]
        if margin > 0 && label.first > label.second || margin < 0 && label.first < label.second {
          correct += 1
        }
      }
    }
    return (Double(correct) / Double(max(1, decided.count)), decided.count)
  }
}
