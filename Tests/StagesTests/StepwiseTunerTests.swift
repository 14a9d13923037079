import Autograd
import Checkpoints
import Diffusion
import NN
import PreferenceModels
import RandomStreams
import Stages
import StepwiseOptimization
import TestSupport
import Testing
import TrainingStages

@Suite struct StepwiseTunerTests {
  private static let model = fixturePath("sample/model")

  private func tuner(_ change: (inout SPOSettings) -> Void) throws -> StepwiseTuner {
    var settings = SPOSettings()
    settings.model = Self.model
    change(&settings)
    let pipeline = try TextToImage(ModelFolder(path: Self.model))
    let preference = try ModelFolder(path: fixturePath("models/preference-gelu")).preferenceModel()
      .model
    return try StepwiseTuner(
      settings, preference: PreferenceScorer(preference),
      negative: try pipeline.negativeConditioning(),
      latentShape: [8, 8, 4])
  }

  private func pairs(_ count: Int) -> [CandidatePair] {
    var source = RandomStream(seed: 4, purpose: "test")
    func noise() -> Tensor { Tensor(source.normals(count: 256), shape: [1, 8, 8, 4]) }
    return (0..<count).map {
      CandidatePair(
        timestep: 101 + 200 * $0, win: .init(latent: noise(), next: noise()),
        lose: .init(latent: noise(), next: noise()), sharesLatent: false, prompt: $0 % 2)
    }
  }

  private func prompts() throws -> Conditioning {
    try TextToImage(ModelFolder(path: Self.model)).conditioning(of: ["a red circle", "blue"])
  }

  private func values(_ tuner: StepwiseTuner) -> [[Float]] {
    tuner.adapters.parameters.map(\.tensor.values)
  }

  @Test(
    "a LoRA that training starts from changes the tuned model alone, whatever its layout and alpha")
  func start() throws {
    let (pairs, prompts) = (pairs(2), try prompts())
    var first = try tuner { _ in }
    _ = try first.train(on: pairs, prompts, iteration: 0)
    let trained = LoRAWeights(trained: first.adapters)
    try withTemporaryFolder { folder in
      let path = "\(folder)/lora.safetensors"
      let header = try ModelFolder(path: Self.model).webUIHeader(name: "x")
      for form in [LoRAWeights.Form.diffusers, .peft, .webUI(header)] {
        try trained.write(to: path, as: form, precision: .f32)
        let second = try tuner { $0.start = path }
        #expect(LoRAWeights(trained: second.adapters) == trained)
      }
      // Twice the alpha is twice the up matrices.
      let file = try SafetensorsFile(path: path)
      try writeSafetensors(
        try file.entries.map { entry in
          let values = try file.floats(entry.name).map {
            entry.name.hasSuffix(".alpha") ? 2 * $0 : $0
          }
          return OutgoingTensor(entry.name, shape: entry.shape, floats: { values })
        }, to: "\(folder)/alpha.safetensors")
      let doubled = try tuner { $0.start = "\(folder)/alpha.safetensors" }
      for (adapter, module) in zip(
        LoRAWeights(trained: doubled.adapters).modules, trained.modules)
      {
        #expect(adapter.down == module.down && adapter.up == module.up.map { 2 * $0 })
      }
    }
  }

  @Test("batches are accumulated over the end of a sampling batch into one update with their mean")
  func accumulation() throws {
    let (pairs, prompts) = (pairs(4), try prompts())
    var carrying = try tuner {
      $0.gradientAccumulation = 2
      $0.pairBatch = 2
    }
    let start = values(carrying)
    let first = try carrying.train(on: Array(pairs[..<2]), prompts, iteration: 0)
    #expect(first.updates == 0 && values(carrying) == start)
    let second = try carrying.train(on: Array(pairs[2...]), prompts, iteration: 1)
    #expect(second.updates == 1)

    // The same four pairs as one batch.
    var whole = try tuner { $0.pairBatch = 4 }
    let trained = try whole.train(on: pairs, prompts, iteration: 0)
    #expect(trained.updates == 1)
    #expect(values(whole) != start)
    for (a, b) in zip(values(carrying), values(whole)) {
      #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-6 })
    }
  }

  @Test("the divergence from the reference is 0 before the first update and is kept by timestep")
  func divergences() throws {
    let (pairs, prompts) = (pairs(4), try prompts())
    var tuner = try tuner { $0.pairBatch = 2 }
    let before = values(tuner)
    let trained = try tuner.train(on: Array(pairs[..<2]), prompts, iteration: 0)
    #expect(trained.divergences.mean == 0)
    #expect(trained.divergences.byTimestep.map(\.timestep) == [301, 101])
    #expect(values(tuner) != before)
    let further = try tuner.train(on: pairs, prompts, iteration: 1).divergences
    #expect(further.byTimestep.map(\.timestep) == [701, 501, 301, 101])
    #expect(further.byTimestep.allSatisfy { $0.mean > 0 })
    // Each timestep has as many latents: two a pair.
    let mean = further.byTimestep.reduce(0) { $0 + $1.mean } / 4
    #expect(abs(try #require(further.mean) / mean - 1) < 1e-12)
  }

  @Test("inverted, the first update is the opposite")
  func inverted() throws {
    let (pairs, prompts) = (pairs(3), try prompts())
    func ups(_ isInverted: Bool) throws -> [Float] {
      var tuner = try tuner {
        $0.inverted = isInverted
        $0.weightDecay = 0
      }
      _ = try tuner.train(on: pairs, prompts, iteration: 0)
      return LoRAWeights(trained: tuner.adapters).modules.flatMap(\.up)
    }
    let (plain, inverted) = (try ups(false), try ups(true))
    #expect(plain.contains { $0 != 0 })
    #expect(zip(plain, inverted).allSatisfy { abs($0 + $1) <= 1e-3 * abs($0) + 1e-9 })
  }

  @Test("without a limit gradients are left as they are")
  func noLimit() throws {
    let (pairs, prompts) = (pairs(2), try prompts())
    func trained(_ limit: Float?) throws -> [[Float]] {
      var tuner = try tuner { $0.gradientLimit = limit }
      _ = try tuner.train(on: pairs, prompts, iteration: 0)
      return values(tuner)
    }
    let free = try trained(nil)
    #expect(try trained(1e9) == free)
    // So small that the optimizer's epsilon counts.
    #expect(try trained(1e-7) != free)
  }

  @Test(
    "a latent model is conditioned on the timestep of the noise, or the one that was drawn from")
  func judgedTimestep() throws {
    let base = ModelFolder(path: Self.model)
    let model = try ModelFolder(path: fixturePath("latent-preference/v1"))
      .latentPreferenceModel(of: base)
    let autoencoder = try base.autoencoder().model
    let latents = Tensor(
      (0..<512).map { Float($0 % 7) / 3 - 1 }, shape: [2, 8, 8, 4])
    func scores(_ timestep: SPOSettings.ConditioningTimestep) throws -> [Float] {
      try PreferenceScorer.latent(model, timestep: timestep)
        .scorer(for: [ScoredPrompt(text: "red", ids: [])], autoencoder)
        .scores(of: latents, timestep: 601, drawnFrom: 701, prompts: [0, 0])
    }
    func expected(_ timestep: Float) throws -> [Float] {
      try withoutGradients {
        model.scores(
          of: latents, timesteps: [timestep, timestep],
          for: try model.prompts(["red"]).rows(at: [0, 0])
        ).values
      }
    }
    #expect(try scores(.drawn) == expected(601))
    #expect(try scores(.source) == expected(701))
    #expect(try scores(.zero) == expected(0))
    #expect(try expected(601) != expected(701))
    #expect(try expected(601) != expected(0))
  }

  @Test("a step-blind model of images is conditioned on timestep 0, whatever was drawn")
  func blindJudge() throws {
    let base = ModelFolder(path: Self.model)
    let folder = ModelFolder(path: fixturePath("models/preference-gelu"))
    let autoencoder = try base.autoencoder().model
    let latents = Tensor((0..<512).map { Float($0 % 7) / 3 - 1 }, shape: [2, 8, 8, 4])
    let ids = try base.tokenizer().encode("red").prefix(
      try folder.preferenceConfiguration().text.tokens)
    func scores(_ conditioning: SPOSettings.ConditioningTimestep, _ timestep: Int) throws -> [Float]
    {
      try PreferenceScorer(folder, of: base, timestep: conditioning)
        .scorer(for: [ScoredPrompt(text: "red", ids: ids.map { $0 % 20 })], autoencoder)
        .scores(of: latents, timestep: timestep, drawnFrom: 701, prompts: [0, 0])
    }
    #expect(try scores(.zero, 601) == scores(.source, 0))
    #expect(try scores(.source, 601) != scores(.source, 0))
  }
}
