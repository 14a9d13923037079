import Autograd
import Diffusion
import Files
import NN
import PipelineCore
import PreferenceModels
import Ranks
import Stages
import StepwiseOptimization
import TensorCore
import TestSupport
import Testing
import TrainingStages

/// Training over ranks that are threads.
@Suite struct RankedTrainingTests {
  private static let model = fixturePath("sample/model")

  private static func tuner(_ ranks: Communicator) throws -> StepwiseTuner {
    var settings = SPOSettings()
    settings.model = model
    settings.promptsAtOnce = 2
    settings.microBatch = 1
    settings.pairBatch = 5
    settings.samplingSteps = 4
    settings.divertStep = 2
    settings.threshold = 0
    let pipeline = try TextToImage(ModelFolder(path: model))
    let preference = try ModelFolder(path: fixturePath("models/preference-gelu")).preferenceModel()
      .model
    return try StepwiseTuner(
      settings, preference: PreferenceScorer(preference),
      negative: try pipeline.negativeConditioning(),
      latentShape: [8, 8, 4], ranks: ranks)
  }

  /// The weights after two batches, and what rank 0 logs.
  private static func trained(_ ranks: Communicator) throws -> [[Float]] {
    var tuner = try tuner(ranks)
    let texts = ["a red circle", "blue", "two squares", "green", "a star"]
    let prompts = PromptBatch(
      identifiers: texts.indices.map { UInt64($0) },
      conditioning: try TextToImage(ModelFolder(path: model)).conditioning(of: texts))
    let scored = texts.indices.map {
      ScoredPrompt(text: texts[$0], ids: [$0 + 1, 2, 3].map { $0 % 20 })
    }
    var figures: [Float] = []
    for iteration in 0..<2 {
      let (sampled, trained) = try tuner.iterate(prompts, scored: scored, iteration: iteration)
      figures += [Float(sampled.pairs.count), sampled.meanFinalScore]
      if ranks.isFirst { figures += [trained.loss, trained.clippedShare, trained.gradientNorm] }
    }
    return tuner.adapters.parameters.map(\.tensor.values) + [figures]
  }

  @Test("any number of ranks gives the bits of one process, on each of them", arguments: [2, 3, 4])
  func sameBits(_ count: Int) throws {
    let alone = try Self.trained(Communicator())
    #expect(alone[alone.count - 1][0] > 5)
    let all = try ThreadRanks.run(count) { try Self.trained($0) }
    #expect(all[0] == alone)
    for other in all.dropFirst() {
      #expect(other.dropLast() == alone.dropLast())
    }
  }

  @Test("all stages that train give the bytes of one process", arguments: [2, 3])
  func stages(_ count: Int) throws {
    try withTemporaryFolder { folder in
      func run(_ workspace: String) -> MiniatureRun {
        MiniatureRun(
          in: folder, workspace: workspace, pipeline: "quickstart-dpo",
          overrides: ["preference.micro_batch=1", "dpo.micro_batch=1", "spo.micro_batch=1"])
      }
      let (alone, shared) = (run("alone"), run("shared"))
      try alone.makeSources()
      try alone.run(through: "dpo")
      // Ranks make what a part has left.
      try shared.run(through: "shard")
      try Runner(try shared.configured()) { _ in }
        .runPart(Partition(index: 1, of: 2), of: "preference")
      #expect(try !Folders.names(in: shared.workspace + "/parts/preference").isEmpty)
      _ = try ThreadRanks.run(count) { try shared.run(over: $0, through: "dpo") }
      let files = ["preference/model/model.safetensors", "preference/metrics.jsonl"]
      for name in files
        + ["spo", "dpo"].flatMap({ stage in
          ["pytorch_lora_weights.safetensors", "metrics.jsonl"].map { "\(stage)/\($0)" }
        })
      {
        let expected = try RegularFile(path: "\(alone.workspace)/\(name)").readAll()
        #expect(
          try RegularFile(path: "\(shared.workspace)/\(name)").readAll() == expected, "\(name)")
      }
    }
  }

  @Test(
    "large gradients are added up rank by rank: the same for one number of ranks, nearly for others"
  )
  func largeGradients() throws {
    @Sendable func sum(_ ranks: Communicator, large: Int) throws -> [[Float]] {
      let parameters = try Self.tuner(Communicator()).adapters.parameters
      var sum = GradientSum(parameters)
      let figures = try sum.add(parts: 5, ranks, large: large) { part in
        // The last parameter takes no part.
        let squares = parameters.dropLast().map {
          $0.tensor.scaled(by: 1 + Float(part) / 7).mapped(by: .square).sum()
        }
        return GradientSum.Part(
          loss: squares.dropFirst().reduce(squares[0], +), weight: 0.3, figures: [Float(part), 2])
      }
      guard ranks.isFirst else { return [] }
      #expect(figures == (0..<5).map { [Float($0), 2] })
      return sum.gradients.map { $0?.values ?? [] } + [[sum.loss]]
    }
    let alone = try sum(Communicator(), large: 0)
    #expect(alone[alone.count - 2].isEmpty && !alone[0].isEmpty)
    for count in [2, 3] {
      let gathered = try ThreadRanks.run(count) { try sum($0, large: .max) }[0]
      #expect(gathered == alone)
      let added = try ThreadRanks.run(count) { try sum($0, large: 0) }[0]
      #expect(try ThreadRanks.run(count) { try sum($0, large: 0) }[0] == added)
      #expect(added.map(\.count) == alone.map(\.count))
      for (a, b) in zip(added.joined(), alone.joined()) {
        #expect(abs(a - b) <= 1e-5 * max(abs(a), abs(b)))
      }
    }
  }
}
