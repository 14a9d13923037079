import Autograd
import NN
import PipelineCore
import PreferenceModels

/// The work of stage `preference`: generates images, then trains on them.
final class PreferenceWork: StageWork {
  enum Item {
    /// Images to generate, and their position among all that are generated.
    case images(ImageStore.Block, position: Int)
    case steps(Range<Int>)
  }

  enum Output {
    case images(Tensor, ImageStore.Block)
    case steps(upTo: Int)
  }

  private let settings: PreferenceSettings
  private let context: StageContext
  private let data: PreferenceData
  private let store: ImageStore
  private let blocks: [ImageStore.Block]
  private let estimated: Deferred<EstimatedImages>
  private let training: Deferred<PreferenceTraining>

  /// - Parameter blocks: all images that are generated
  init(
    _ stage: TrainPreference, _ context: StageContext, _ intervals: CheckpointIntervals,
    _ data: PreferenceData, blocks: [ImageStore.Block]
  ) {
    (settings, self.context, self.data) = (stage.settings, context, data)
    (store, self.blocks) = (stage.store, blocks)
    let estimated = Deferred(stage.estimatedImages)
    self.estimated = estimated
    training = Deferred {
      let model = try stage.makeModel(stage.store, estimated)
      return try PreferenceTraining(
        stage.settings, context, intervals, data, model,
        stage.makeState(model, moments: stage.momentPlace(of: model), ranks: context.ranks))
    }
  }

  func process(_ item: Item) throws -> Output {
    switch item {
    case .images(let block, let position):
      // All ranks load the model first, and what keeps it from training shows before hours of images.
      if !context.isPart { _ = try training() }
      context.progress.advance(by: 0, note: "estimating \(block.split) images, \(block.view.name)")
      return try context.lead(
        settings.steps + position, save: { try commit($0, of: item) },
        body: { .images(try images(of: block), block) })
    case .steps(let range):
      let training = try training()
      for step in range {
        try context.lead(
          step, save: { _ in try training.writeCheckpoint(step + 1) },
          body: { try training.train(step) })
      }
      return .steps(upTo: range.upperBound)
    }
  }

  func follow() throws {
    let training = try training()
    try context.follow(digest: training.state.weightsDigest) { step in
      if step < settings.steps {
        try training.train(step)
      } else {
        _ = try images(of: blocks[step - settings.steps])
      }
    }
  }

  private func images(of block: ImageStore.Block) throws -> Tensor {
    let pairs = Array(block.pairs)
    return try estimated()(
      data.examples(of: block), of: pairs, pairs.map { _ in block.view },
      context.ranks)
  }

  func commit(_ output: Output, of item: Item) throws {
    switch output {
    case .images(let images, let block): try store.write(images, block)
    case .steps(let step): try training().writeCheckpoint(step)
    }
  }

  func finish() throws -> WorkSummary {
    try training().finish()
    return WorkSummary()
  }
}
