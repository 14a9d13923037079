import Autograd
import Diffusion
import RandomStreams
import StepwiseOptimization
import TensorCore
import TestSupport
import Testing

/// Candidates of the fixtures' tiny models, judged by the mean of their estimates.
@Suite struct CandidateSamplerTests {
  /// Prefers bright latents, and notes at which timesteps it was asked, and of what was drawn where.
  private final class Brightness: CandidateScorer {
    var timesteps: [Int] = []
    var sources: [Int] = []
    var prompts: [[Int]] = []
    let view: CandidateView

    init(_ view: CandidateView = .estimated) { self.view = view }

    func scores(
      of estimates: Tensor, timestep: Int, drawnFrom source: Int, prompts: [Int]
    ) -> [Float] {
      timesteps.append(timestep)
      sources.append(source)
      self.prompts.append(prompts)
      return estimates.mean(over: 1..<4).values.map { 50 * $0 }
    }
  }

  private struct Setting {
    let sampler: CandidateSampler
    let prompts: PromptBatch
    let negative: Conditioning
    let scheduler: DDIMScheduler

    init(
      _ fixture: String, innerSteps: Int, thresholds: ClosedRange<Double> = 0...0,
      promptsAtOnce: Int = 3, comparedSteps: Range<Int> = 2..<10, window: Int? = nil,
      labels: CandidateSamplingSettings.Labels = .step,
      continuation: CandidateSamplingSettings.Continuation = .random
    ) throws {
      let folder = ModelFolder(path: fixturePath("\(fixture)/model"))
      let pipeline = try TextToImage(folder)
      scheduler = try DDIMScheduler(SchedulerConfig(folder: "\(folder.path)/scheduler"))
      sampler = CandidateSampler(
        unet: GuidedUNet(pipeline.unet, guidance: 3), scheduler: scheduler,
        settings: .init(
          steps: 10, eta: 1, candidates: 3, comparedSteps: comparedSteps, window: window,
          innerSteps: innerSteps, thresholds: thresholds, labels: labels,
          continuation: continuation,
          promptsAtOnce: promptsAtOnce, seed: 5), latentShape: [8, 8, 4])
      prompts = PromptBatch(
        identifiers: [7, 8, 9],
        conditioning: try pipeline.conditioning(of: ["red circle", "a blue square", ""]))
      negative = try pipeline.negativeConditioning()
    }

    func sample(
      _ scorer: some CandidateScorer = Brightness(), iteration: UInt64 = 1
    ) throws -> SampledPairs {
      try sampler(prompts, negative: negative, iteration: iteration, scorer: scorer)
    }
  }

  @Test("without inner steps every pair comes from one latent and is judged at the next timestep")
  func noInnerSteps() throws {
    let setting = try Setting("sample", innerSteps: 0)
    let scorer = Brightness()
    let sampled = try setting.sample(scorer)
    #expect(scorer.timesteps == [601, 501, 401, 301, 201, 101, 1, 0])
    #expect(sampled.comparisons.map(\.timestep) == [701, 601, 501, 401, 301, 201, 101, 1])
    #expect(sampled.comparisons.allSatisfy { $0.compared == 3 && $0.kept == 3 })
    #expect(sampled.pairs.count == 24)
    #expect(sampled.finalScores.count == 9)
    for pair in sampled.pairs {
      #expect(pair.sharesLatent)
      #expect(pair.win.latent.values == pair.lose.latent.values)
      #expect(mean(pair.win.next) != mean(pair.lose.next))
    }
    let last = sampled.pairs.filter { $0.timestep == 1 }
    #expect(last.allSatisfy { mean($0.win.next) > mean($0.lose.next) })
  }

  @Test(
    "noisy candidates are judged at the timestep of their noise, below thresholds none is kept")
  func drawnCandidates() throws {
    let scorer = Brightness(.drawn)
    let sampled = try Setting("sample", innerSteps: 0).sample(scorer)
    #expect(scorer.timesteps == [601, 501, 401, 301, 201, 101, 1, 0])
    #expect(scorer.sources == [701, 601, 501, 401, 301, 201, 101, 1])
    for pair in sampled.pairs {
      #expect(mean(pair.win.next) > mean(pair.lose.next))
    }
    #expect(sampled.pairs.count == 24)

    let strict = try Setting("sample", innerSteps: 0, thresholds: 0...2).sample(scorer)
    let thresholds = strict.comparisons.map(\.threshold)
    #expect(thresholds == thresholds.sorted(by: >))
    // The first steps draw the most noise, the last the least.
    #expect(thresholds[0] > 1 && thresholds[thresholds.count - 1] == 0)
    #expect(strict.comparisons[0].kept == 0 && strict.comparisons.last?.kept == 3)
  }

  @Test(
    "a window compares so many consecutive steps, others in every batch; the widest compares all")
  func windows() throws {
    let timesteps = [701, 601, 501, 401, 301, 201, 101, 1]
    let setting = try Setting("sample", innerSteps: 0, window: 3)
    var firsts: Set<Int> = []
    for iteration in 0..<24 {
      let compared = try setting.sample(iteration: UInt64(iteration)).comparisons.map(\.timestep)
      let first = try #require(timesteps.firstIndex(of: compared.first ?? 0))
      #expect(compared == Array(timesteps[first..<first + 3]))
      firsts.insert(first)
    }
    #expect(firsts == Set(0...5))
    let again = try setting.sample(iteration: 3)
    #expect(try setting.sample(iteration: 3).comparisons == again.comparisons)

    let all = try Setting("sample", innerSteps: 0).sample()
    let widest = try Setting("sample", innerSteps: 0, window: 8).sample()
    #expect(widest.comparisons == all.comparisons && widest.finalScores == all.finalScores)
    let trajectories = try Setting("sample", innerSteps: 0, window: 2, labels: .trajectory)
    let scorer = Brightness()
    #expect(try trajectories.sample(scorer).pairs.count == 2 * 3 && scorer.timesteps == [0])
  }

  @Test(
    "with inner steps winner and loser go on alone, each recorded from its own latent",
    arguments: ["sample", "sample-xl"])
  func innerSteps(fixture: String) throws {
    let setting = try Setting(fixture, innerSteps: 2)
    let scorer = Brightness()
    let sampled = try setting.sample(scorer)
    #expect(scorer.timesteps == [401, 101, 0])
    #expect(scorer.sources == [501, 201, 1])
    #expect(sampled.comparisons.map(\.timestep) == [701, 401, 101])
    let segments = [[701, 601, 501], [401, 301, 201], [101, 1]]
    #expect(sampled.pairs.count == 3 * 8)
    for prompt in 0..<3 {
      let pairs = sampled.pairs.filter { $0.prompt == prompt }
      #expect(pairs.map(\.timestep) == segments.flatMap { $0 })
      for (previous, pair) in zip(pairs, pairs.dropFirst()) where !pair.sharesLatent {
        #expect(pair.win.latent.values == previous.win.next.values)
        #expect(pair.lose.latent.values == previous.lose.next.values)
      }
      #expect(pairs.filter(\.sharesLatent).map(\.timestep) == segments.map { $0[0] })
    }
    try expectDraws(sampled, setting)
  }

  @Test(
    "labels of whole trajectories: finished samples alone are judged, and label every compared step",
    arguments: [2..<10, 2..<5], [CandidateView.estimated, .drawn])
  func trajectories(comparedSteps: Range<Int>, view: CandidateView) throws {
    let setting = try Setting(
      "sample", innerSteps: 0, comparedSteps: comparedSteps, labels: .trajectory)
    let scorer = Brightness(view)
    let sampled = try setting.sample(scorer)
    #expect(scorer.timesteps == [0] && scorer.sources == [1])
    #expect(sampled.comparisons.map(\.timestep) == [701])
    #expect(sampled.comparisons[0].compared == 3 && sampled.comparisons[0].kept == 3)
    #expect(sampled.finalScores.count == 9)
    let timesteps = [701, 601, 501, 401, 301, 201, 101, 1].prefix(comparedSteps.count)
    for prompt in 0..<3 {
      let pairs = sampled.pairs.filter { $0.prompt == prompt }
      #expect(pairs.map(\.timestep) == Array(timesteps))
      #expect(pairs.map(\.sharesLatent) == timesteps.map { $0 == 701 })
      #expect(pairs[0].win.latent.values == pairs[0].lose.latent.values)
      // Each follows its own way.
      for (previous, pair) in zip(pairs, pairs.dropFirst()) {
        #expect(pair.win.latent.values == previous.win.next.values)
        #expect(pair.lose.latent.values == previous.lose.next.values)
      }
      if let last = pairs.last, last.timestep == 1 {
        #expect(mean(last.win.next) > mean(last.lose.next))
      }
    }
  }

  @Test(
    "sampling goes on from the candidate that is asked for",
    arguments: CandidateSamplingSettings.Continuation.allCases,
    [CandidateView.estimated, .drawn])
  func continuation(
    continuation: CandidateSamplingSettings.Continuation, view: CandidateView
  ) throws {
    let setting = try Setting("sample", innerSteps: 0, continuation: continuation)
    let sampled = try setting.sample(Brightness(view))
    var steps = 0
    var (fromBest, fromWorst) = (0, 0)
    for prompt in 0..<3 {
      let pairs = sampled.pairs.filter { $0.prompt == prompt }
      for (previous, pair) in zip(pairs, pairs.dropFirst()) {
        steps += 1
        fromBest += pair.win.latent.values == previous.win.next.values ? 1 : 0
        fromWorst += pair.win.latent.values == previous.lose.next.values ? 1 : 0
      }
    }
    #expect(steps == 21)
    switch continuation {
    case .best: #expect(fromBest == steps && fromWorst == 0)
    case .worst: #expect(fromWorst == steps && fromBest == 0)
    // Of three candidates.
    case .random:
      #expect((1..<steps).contains(fromBest) && (1..<steps).contains(fromWorst))
      #expect(fromBest + fromWorst < steps)
    }
  }

  /// Checks that recorded samples follow the model's Gaussian at the recorded latent.
  private func expectDraws(_ sampled: SampledPairs, _ setting: Setting) throws {
    let pairs = PairBatch(sampled.pairs)
    #expect(pairs.latents.shape[0] == 3 * 3 + 2 * 3 * 5)
    let output = setting.sampler.unet(
      pairs.latents, timesteps: pairs.timesteps.map { Float($0) },
      conditioning: setting.prompts.conditioning.rows(at: pairs.prompts),
      negative: setting.negative)
    let transition = try setting.scheduler.transition(
      from: pairs.timesteps, stepCount: 10, eta: 1)
    let mean = transition.mean(pairs.latents, modelOutput: output)
    for draws in [pairs.win, pairs.lose] {
      let noise = draws.next - mean.rows(at: draws.origins)
      let squares = noise.mapped(by: .square).mean(over: 1..<4).values
      for (square, origin) in zip(squares, draws.origins) {
        let sigma = transition.rows[origin].sigma
        #expect((0.7...1.3).contains(square / (sigma * sigma)))
      }
    }
  }

  @Test("what a prompt gets does not depend on how many are drawn together, but for the last bits")
  func promptsAtOnce() throws {
    let together = Brightness()
    let alone = Brightness()
    let expected = try Setting("sample-xl", innerSteps: 1).sample(together)
    let found = try Setting("sample-xl", innerSteps: 1, promptsAtOnce: 2).sample(alone)
    #expect(together.prompts[0] == [0, 1, 2, 0, 1, 2, 0, 1, 2])
    #expect(alone.prompts[0] == [0, 1, 0, 1, 0, 1] && alone.prompts.last == [2, 2, 2])
    #expect(found.comparisons.map(\.kept) == expected.comparisons.map(\.kept))
    #expect(abs(found.meanFinalScore - expected.meanFinalScore) < 1e-3)
    #expect(found.pairs.map(\.timestep) == expected.pairs.map(\.timestep))
    #expect(found.pairs.map(\.prompt) == expected.pairs.map(\.prompt))
    for (a, b) in zip(found.pairs, expected.pairs) {
      #expect(zip(a.win.next.values, b.win.next.values).allSatisfy { abs($0 - $1) < 1e-3 })
      #expect(zip(a.lose.latent.values, b.lose.latent.values).allSatisfy { abs($0 - $1) < 1e-3 })
    }
  }

  @Test("a latent that stands twice gives the loss of one that is shared")
  func ownLatents() throws {
    var source = RandomStream(seed: 3, purpose: "test")
    func noise() -> Tensor { Tensor(source.normals(count: 18), shape: [1, 3, 3, 2]) }
    let pairs = [801, 401].enumerated().map { prompt, timestep in
      let latent = noise()
      return CandidatePair(
        timestep: timestep, win: .init(latent: latent, next: noise()),
        lose: .init(latent: latent, next: noise()), sharesLatent: true, prompt: prompt)
    }
    let doubled = pairs.map { pair in
      var pair = pair
      pair.sharesLatent = false
      return pair
    }
    let scheduler = try DDIMScheduler(
      SchedulerConfig(folder: fixturePath("sample/model/scheduler")))
    func loss(_ pairs: [CandidatePair]) throws -> ([Float], [Float]) {
      let batch = PairBatch(pairs)
      let tuned = batch.latents.scaled(by: 0.3).trainable()
      let result = StepwiseLoss(beta: 2, clip: 0.9)(
        batch, try scheduler.transition(from: batch.timesteps, stepCount: 20, eta: 1),
        tuned: tuned, reference: batch.latents.scaled(by: 0.31))
      let gradient = try #require(gradients(of: result.loss, for: [tuned])[0])
      var sums = [Float](repeating: 0, count: 36)
      for (row, prompt) in batch.prompts.enumerated() {
        for (place, value) in gradient.slice(axis: 0, row..<row + 1).values.enumerated() {
          sums[18 * prompt + place] += value
        }
      }
      return ([result.loss.scalar] + result.winRatios + result.loseRatios, sums)
    }
    let shared = try loss(pairs)
    let own = try loss(doubled)
    #expect(zip(shared.0, own.0).allSatisfy { abs($0 - $1) < 1e-6 })
    #expect(shared.1.contains { abs($0) > 1e-4 })
    #expect(zip(shared.1, own.1).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  private func mean(_ tensor: Tensor) -> Float {
    tensor.values.reduce(0, +) / Float(tensor.count)
  }
}
