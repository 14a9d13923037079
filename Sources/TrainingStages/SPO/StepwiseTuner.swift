import Autograd
package import Diffusion
package import NN
import PreferenceModels
import RandomStreams
package import Ranks
import StageSupport
package import StepwiseOptimization

/// A model that learns from its own samples: samples candidates for a batch of prompts, has them
/// scored, and trains its adapters on the pairs.
///
/// - Source: Liang et al. 2024, arXiv 2406.04314, algorithm 1
package struct StepwiseTuner {
  let settings: SPOSettings
  let tuned: GuidedUNet
  private let reference: GuidedUNet
  /// The model to sample candidates from, if not the tuned model: its adapters are running
  /// averages.
  private let averaged: (unet: GuidedUNet, adapters: AdapterSet)?
  let autoencoder: Autoencoder
  package let adapters: AdapterSet
  let scheduler: DDIMScheduler
  let negative: Conditioning
  private let preference: PreferenceScorer
  private let latentShape: [Int]
  private let checkInterruption: () throws -> Void
  var state: TrainingState

  /// - Parameters:
  ///   - negative: the conditioning on the empty prompt, one row
  ///   - latentShape: height, width and channels
  ///   - ranks: the processes that share the work, each with its own instance
  ///   - checkInterruption: called before each pass; an error ends the batch
  package init(
    _ settings: SPOSettings, preference: PreferenceScorer, negative: Conditioning,
    latentShape: [Int],
    ranks: Communicator = Communicator(), checkInterruption: @escaping () throws -> Void = {}
  ) throws {
    self.settings = settings
    self.checkInterruption = checkInterruption
    self.preference = preference
    self.negative = negative
    self.latentShape = latentShape
    let model = settings.base
    let unets = try TunedUNet(
      model, rank: settings.rank, seed: settings.seed,
      start: try settings.start.map { try StartingLoRA(path: $0, of: model, stage: TuneSPO.name) },
      averages: settings.averageDecay != nil,
      usesGradientCheckpointing: settings.gradientCheckpointing)
    adapters = unets.adapters
    averaged = unets.averaged.map {
      (GuidedUNet($0.unet, guidance: settings.guidance), $0.adapters)
    }
    reference = GuidedUNet(unets.reference, guidance: settings.guidance)
    tuned = GuidedUNet(unets.tuned, guidance: settings.guidance)
    autoencoder = try model.autoencoder().model
    scheduler = try DDIMScheduler(model.pipelineSchedulerConfig())
    state = try TrainingState(
      adapters.parameters, optimizer: .init(weightDecay: settings.weightDecay),
      schedule: .init(peak: settings.learningRate), gradientLimit: settings.gradientLimit,
      keepsAverage: settings.averageDecay != nil, ranks: ranks)
  }

  /// Updates the sampling model to the current averages.
  func followAverage() {
    if let averaged { state.copyAverage(to: averaged.adapters.parameters) }
  }

  /// Samples a batch of prompts and trains on the pairs.
  ///
  /// - Parameters:
  ///   - scored: the same prompts, as input of the preference model
  ///   - iteration: keys the random streams
  package mutating func iterate(
    _ prompts: PromptBatch, scored: [ScoredPrompt], iteration: Int
  ) throws -> (sampled: SampledPairs, trained: Trained) {
    let sampled = try sample(prompts, scorer: try scorer(for: scored), iteration: iteration)
    return (
      sampled, try train(on: sampled.pairs, prompts.conditioning, iteration: iteration)
    )
  }

  /// Returns the scorer of candidates for some prompts.
  func scorer(for prompts: [ScoredPrompt]) throws -> any CandidateScorer {
    try preference.scorer(for: prompts, autoencoder)
  }

  /// Samples candidates for a batch of prompts and has them scored.
  func sample(
    _ prompts: PromptBatch, scorer: any CandidateScorer, iteration: Int
  ) throws -> SampledPairs {
    let sampler = CandidateSampler(
      unet: averaged?.unet ?? tuned, scheduler: scheduler,
      settings: settings.sampling(promptsAtOnce: settings.promptsAtOnce, seed: settings.seed),
      latentShape: latentShape, checkInterruption: checkInterruption)
    let groups = sampler.groups(of: prompts)
    return SampledPairs(
      joining: try state.ranks.divided(
        groups.count, write: \.message, read: SampledPairs.init(message:)
      ) {
        try sampler.pairs(
          of: groups[$0], in: prompts, negative: negative, iteration: UInt64(iteration),
          scorer: scorer)
      })
  }

  /// Means over the training batches of one sampling batch; the gradient norm is averaged over its
  /// updates.
  package struct Trained {
    package var loss: Float = 0
    package var clippedShare: Float = 0
    package var gradientNorm: Float = 0
    package var updates = 0
    package var divergences = StepDivergences()
  }

  package mutating func train(
    on pairs: [CandidatePair], _ prompts: Conditioning, iteration: Int
  ) throws -> Trained {
    var stream = RandomStream(
      seed: settings.seed, purpose: "spo.shuffle", item: UInt64(iteration))
    let shuffled = stream.permutation(count: pairs.count).map {
      settings.inverted ? pairs[$0].inverted : pairs[$0]
    }
    let starts = Array(stride(from: 0, to: shuffled.count, by: settings.pairBatch))
    var result = Trained()
    for start in starts {
      let batch = Array(shuffled[start..<min(start + settings.pairBatch, shuffled.count)])
      let trained = try train(onBatch: batch, prompts)
      result.loss += trained.loss
      result.clippedShare += trained.clippedShare
      result.gradientNorm += trained.gradientNorm
      result.updates += trained.updates
      result.divergences.add(trained.divergences)
    }
    let batches = Float(max(1, starts.count))
    return Trained(
      loss: result.loss / batches, clippedShare: result.clippedShare / batches,
      gradientNorm: result.gradientNorm / Float(max(1, result.updates)), updates: result.updates,
      divergences: result.divergences)
  }

  /// Accumulates the gradients of a batch of pairs, computed in parts; after enough batches, they
  /// make one update of the adapters.
  private mutating func train(
    onBatch pairs: [CandidatePair], _ prompts: Conditioning
  ) throws -> Trained {
    var sum = state.carried ?? GradientSum(state.parameters)
    let accumulation = max(1, settings.gradientAccumulation)
    let lossBefore = sum.loss
    let size = max(1, settings.microBatch)
    let parts = try sum.add(parts: (pairs.count + size - 1) / size, state.ranks) {
      try checkInterruption()
      let part = pairs[$0 * size..<min(($0 + 1) * size, pairs.count)]
      let share = Float(part.count) / Float(pairs.count)
      let batch = PairBatch(Array(part))
      let loss = try self.loss(of: batch, prompts)
      return GradientSum.Part(
        loss: loss.loss, weight: share / Float(accumulation),
        figures: [share * loss.clippedShare(limit: settings.clip)]
          + zip(batch.timesteps, loss.divergences).flatMap { [Float($0), $1] })
    }
    let clippedShare = parts.reduce(0) { $0 + ($1.first ?? 0) }
    var divergences = StepDivergences()
    for figures in parts {
      for place in stride(from: 1, to: figures.count, by: 2) {
        divergences.add(figures[place + 1], at: Int(figures[place]))
      }
    }
    sum.batches += 1
    let loss = (sum.loss - lossBefore) * Float(accumulation)
    guard sum.batches >= accumulation else {
      state.carried = sum
      return Trained(loss: loss, clippedShare: clippedShare, divergences: divergences)
    }
    state.carried = nil
    let norm = try state.update(sum.gradients, loss: sum.loss)
    if let decay = settings.averageDecay {
      state.updateAverage(decay: decay)
      followAverage()
    }
    return Trained(
      loss: loss, clippedShare: clippedShare, gradientNorm: norm, updates: 1,
      divergences: divergences)
  }

  private func loss(
    of pairs: PairBatch, _ prompts: Conditioning
  ) throws -> StepwiseLoss.Result {
    let conditioning = prompts.rows(at: pairs.prompts)
    func predict(_ unet: GuidedUNet, _ name: String) throws -> Tensor {
      try unet(
        pairs.latents, timesteps: pairs.timesteps.map { Float($0) }, conditioning: conditioning,
        negative: negative
      ).requiringFinite("\(name), timesteps \(Set(pairs.timesteps).sorted())")
    }
    let transition = try scheduler.transition(
      from: pairs.timesteps, stepCount: settings.samplingSteps, eta: settings.eta)
    let tunedOutput = try predict(tuned, "tuned unet")
    let referenceOutput = try withoutGradients { try predict(reference, "unet") }
    switch settings.loss {
    case .spo:
      return StepwiseLoss(beta: settings.beta, clip: settings.clip)(
        pairs, transition, tuned: tunedOutput, reference: referenceOutput)
    case .gradspo:
      let loss = GradientGuidanceLoss(
        beta: settings.beta, clip: settings.clip, targetStep: settings.targetStep)
      return loss(
        pairs, transition, scheduler.schedule, tuned: tunedOutput, reference: referenceOutput,
        average: try averaged.map { averaged in
          try withoutGradients { try predict(averaged.unet, "averaged unet") }
        } ?? tunedOutput.detached)
    }
  }
}

extension StepwiseLoss.Result {
  /// Returns the fraction of likelihood ratios that reached a limit.
  fileprivate func clippedShare(limit: Float) -> Float {
    let ratios = winRatios + loseRatios
    let clipped = ratios.filter { abs($0 - 1) >= limit * 0.999 }
    return Float(clipped.count) / Float(max(1, ratios.count))
  }
}
