import Autograd
import Diffusion
package import NN
import PreferenceModels
package import Ranks
package import Shards
import StageSupport
import StepwiseOptimization

/// A model trained on comparisons of given images: by how much more it improves the denoising of
/// preferred images over the untuned model than that of the others; or, as a baseline, by how well
/// it denoises the preferred ones alone.
///
/// - Source: Wallace et al. 2023, arXiv 2311.12908; the baseline is their "SFT"
package struct DirectPreferenceTuner {
  let settings: DPOSettings
  private let unets: TunedUNet
  let scheduler: DDIMScheduler
  private let examples: PreferenceExamples
  /// The indices of comparisons that are not ties.
  private let decided: [Int]
  private var order: EpochOrder
  private let checkInterruption: () throws -> Void
  var state: TrainingState

  var tuned: UNet { unets.tuned }
  package var adapters: AdapterSet { unets.adapters }

  /// Returns the comparisons of a split that are not ties.
  ///
  /// - Throws: ``NothingLearned`` if there are none
  package static func decided(in shards: ShardSet) throws -> [Int] {
    guard shards.pairCount > 0 else {
      throw NothingLearned(
        reason: "the training split has no comparisons, but stage dpo needs some")
    }
    return try shards.decidedPairs()
  }

  /// - Parameters:
  ///   - shards: the training split
  ///   - decided: the comparisons to learn from
  ///   - ranks: the processes that share the work, each with its own instance
  ///   - checkInterruption: called before each part of a batch; an error ends the step
  package init(
    _ settings: DPOSettings, _ shards: any ComparisonData, decided: [Int],
    ranks: Communicator = Communicator(), checkInterruption: @escaping () throws -> Void = {}
  ) throws {
    self.settings = settings
    self.checkInterruption = checkInterruption
    self.decided = decided
    unets = try TunedUNet(
      settings.base, rank: settings.rank, seed: settings.seed,
      start: try settings.start.map {
        try StartingLoRA(path: $0, of: settings.base, stage: TuneDPO.name)
      },
      usesGradientCheckpointing: settings.gradientCheckpointing)
    scheduler = try DDIMScheduler(settings.base.pipelineSchedulerConfig())
    examples = PreferenceExamples(
      shards: shards, seed: settings.seed,
      timesteps: .init(limit: settings.timestepLimit, spacing: nil), sharesNoise: true,
      purpose: "dpo")
    order = EpochOrder(count: decided.count, seed: settings.seed)
    state = try TrainingState(
      unets.adapters.parameters, optimizer: .init(weightDecay: settings.weightDecay),
      schedule: .init(peak: settings.learningRate, warmUpSteps: settings.warmUpSteps),
      gradientLimit: settings.gradientLimit, ranks: ranks)
  }

  package struct Trained {
    /// The mean loss over the comparisons of one batch.
    package var loss: Float = 0
    /// Other means over them, in logging order; see ``figureNames``.
    var figures: [(name: String, mean: Float)] = []
    var gradientNorm: Float = 0
  }

  /// The names of the quantities measured for each comparison.
  private var figureNames: [String] {
    switch settings.loss {
    // By how much the tuned model's errors exceed the reference's.
    case .dpo:
      ["implicit_accuracy", "margin", "win_error_change", "lose_error_change"]
        + (settings.safeguard == nil ? [] : ["loser_scale"])
    case .supervised: []
    }
  }

  /// Performs one update.
  ///
  /// - Parameter step: counted from 0; selects the comparisons and the noises
  package mutating func train(step: Int) throws -> Trained {
    let items = order.items(step: step, batch: settings.batch)
    var sum = GradientSum(state.parameters)
    let size = settings.microBatch
    let parts = try sum.add(parts: (items.count + size - 1) / size, state.ranks) {
      try checkInterruption()
      let part = items[$0 * size..<min(($0 + 1) * size, items.count)]
      let (loss, figures) = try loss(
        of: part.map { decided[$0.item] }, part.map { .draw($0.epoch) })
      return GradientSum.Part(
        loss: loss, weight: Float(part.count) / Float(items.count),
        figures: figures.flatMap { $0 })
    }
    let figures = Array(parts.joined())
    let names = figureNames
    var trained = Trained(loss: sum.loss)
    trained.figures = names.enumerated().map { place, name in
      let values = stride(from: place, to: figures.count, by: names.count).map { figures[$0] }
      return (name, values.reduce(0) { $0 + $1 / Float(items.count) })
    }
    trained.gradientNorm = try state.update(sum.gradients, loss: sum.loss)
    return trained
  }

  /// - Returns: the loss, and for each comparison the ``figureNames`` quantities
  private func loss(
    of pairs: [Int], _ views: [PreferenceView]
  ) throws -> (loss: Tensor, figures: [[Float]]) {
    // All left images, then all right ones, become all winners, then all losers.
    let labels = try examples.labels(of: pairs)
    let isLeft = labels.map { ($0.first > $0.second) != settings.inverted }
    let winners = isLeft.enumerated().map { $1 ? $0 : $0 + pairs.count }
    let losers = isLeft.enumerated().map { $1 ? $0 + pairs.count : $0 }
    let rows = settings.loss == .supervised ? winners : winners + losers
    let latents = try examples.latents(of: pairs, views).rows(at: rows)
    let noise = examples.noise(for: pairs, views).rows(at: rows)
    let drawn = zip(pairs, views).map { examples.timestep(of: $0, $1) }
    let timesteps = rows.map { drawn[$0 % pairs.count] }
    let noised = scheduler.schedule.noised(latents, with: noise, timesteps: timesteps)
    let conditioning = try examples.conditioning(of: pairs).rows(at: rows)
    func predict(_ unet: UNet, _ name: String) throws -> Tensor {
      try unet(noised, timesteps: timesteps.map { Float($0) }, conditioning: conditioning)
        .requiringFinite("\(name), timesteps \(Set(drawn).sorted())")
    }
    let target = scheduler.schedule.target(
      latents, noise: noise, timesteps: timesteps, prediction: scheduler.predictionType)
    let tuned = try predict(unets.tuned, "tuned unet")
    guard settings.loss == .dpo else { return (denoisingLoss(target: target, output: tuned), []) }
    let result = DirectPreferenceLoss(beta: settings.beta, safeguard: settings.safeguard)(
      target: target, tuned: tuned,
      reference: try withoutGradients { try predict(unets.reference, "unet") })
    return (
      result.loss,
      pairs.indices.map {
        [
          result.agreements[$0], result.margins[$0], result.winErrorChanges[$0],
          result.loseErrorChanges[$0],
        ] + (settings.safeguard == nil ? [] : [result.loserScales[$0]])
      }
    )
  }
}
