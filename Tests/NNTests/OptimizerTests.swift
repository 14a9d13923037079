import Autograd
import NN
import TestSupport
import Testing

@Suite("AdamW")
struct AdamWTests {
  /// A model of one array `w` of 3 values, all 1.
  private func parameter() throws -> Parameter {
    try Weights(randomSeed: 0).parameter("w", shape: [3], initial: .constant(1))
  }

  @Test("two updates are PyTorch's")
  func twoUpdates() throws {
    // torch.optim.AdamW([w], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.5), w = 1, with the
    // gradients (1, -2, 0), then (0.5, 1, 0).
    let w = try parameter()
    var optimizer = try AdamW(
      [w], settings: .init(beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.5))
    try optimizer.update([Tensor([1, -2, 0], shape: [3])], learningRate: 0.1)
    // m / (1 - b1) = g and v / (1 - b2) = g^2, so the step is 0.95 - 0.1 sign(g).
    let first: [Float] = [0.85, 1.05, 0.95]
    for (found, expected) in zip(w.tensor.values, first) { #expect(abs(found - expected) < 1e-6) }
    try optimizer.update([Tensor([0.5, 1, 0], shape: [3])], learningRate: 0.1)
    // m = 0.9 m + 0.1 g over 0.19; v = 0.99 v + 0.01 g^2 over 0.0199
    let second: [Float] = [
      0.85 * 0.95 - 0.1 * (0.14 / 0.19) / (0.0124 / 0.0199).squareRoot(),
      1.05 * 0.95 - 0.1 * (-0.08 / 0.19) / (0.0496 / 0.0199).squareRoot(), 0.9025,
    ]
    for (found, expected) in zip(w.tensor.values, second) { #expect(abs(found - expected) < 1e-5) }
  }

  @Test("a restored state continues as if nothing had happened")
  func restored() throws {
    let (a, b) = (try parameter(), try parameter())
    let gradients = (1...4).map { Tensor([Float($0), -1, 0.5], shape: [3]) }
    var whole = try AdamW([a], settings: .init())
    for gradient in gradients { try whole.update([gradient], learningRate: 0.01) }
    var before = try AdamW([b], settings: .init())
    for gradient in gradients[..<2] { try before.update([gradient], learningRate: 0.01) }
    var after = try AdamW([b], settings: .init())
    let state = Dictionary(
      uniqueKeysWithValues: try before.state.map { ($0.name, try $0.values()) })
    try after.restore(stepCount: before.stepCount) { try #require(state[$0]) }
    for gradient in gradients[2...] { try after.update([gradient], learningRate: 0.01) }
    #expect(a.tensor.values == b.tensor.values)
  }

  @Test("running means on the disk give the same weights, and the same state")
  func onDisk() throws {
    try withTemporaryFolder { folder in
      let (a, b) = (try parameter(), try parameter())
      var inMemory = try AdamW([a], settings: .init())
      var onDisk = try AdamW([b], settings: .init(), moments: .disk(folder: folder))
      for step in 1...3 {
        let gradient = Tensor([Float(step), -1, 0.5], shape: [3])
        try inMemory.update([gradient], learningRate: 0.01, scale: 0.7)
        try onDisk.update([gradient], learningRate: 0.01, scale: 0.7)
      }
      #expect(a.tensor.values == b.tensor.values)
      let states = try [inMemory, onDisk].map { try $0.state.map { try $0.values() } }
      #expect(states[0] == states[1] && states[0].count == 2)
    }
  }

  @Test("gradients are scaled to a joint norm, and only if theirs is larger")
  func limitedNorm() {
    let gradients = [Tensor([3], shape: [1]), nil, Tensor([4], shape: [1])]
    let (norm, scale) = clipping(gradients, toNorm: 1)
    #expect(norm == 5)
    #expect(abs(scale - 0.2) < 1e-5)
    #expect(clipping(gradients, toNorm: 6).scale == 1)
  }
}

@Suite("Learning rate")
struct LearningRateTests {
  @Test("a linear schedule rises, then falls to its end")
  func linear() {
    let schedule = LearningRateSchedule(peak: 1, warmUpSteps: 9, decay: .linear, steps: 109)
    #expect(abs(schedule.rate(at: 0) - 0.1) < 1e-6)
    #expect(schedule.rate(at: 9) == 1)
    #expect(abs(schedule.rate(at: 59) - 0.5) < 1e-6)
    #expect(schedule.rate(at: 500) == 0)
  }

  @Test("the logarithmic warm-up is that of DeepSpeed's WarmupDecayLR")
  func logarithmic() {
    // deepspeed.runtime.lr_schedules.WarmupDecayLR(AdamW([w], lr=1), total_num_steps=8000,
    // warmup_max_lr=1, warmup_num_steps=500), its optimizer's rate at each update, step() after it.
    let schedule = LearningRateSchedule(
      peak: 1, warmUp: .log, warmUpSteps: 500, decay: .linear, steps: 8_000)
    let expected: [(update: Int, rate: Float)] = [
      (0, 1), (1, 0), (2, 0.111_535), (10, 0.370_512), (100, 0.741_023), (499, 0.999_678),
      (500, 1), (501, 1), (502, 0.999_867), (4_000, 0.533_467), (7_999, 0.000_267),
    ]
    for (update, rate) in expected {
      #expect(abs(schedule.rate(at: update) - rate) < 2e-6, "update \(update)")
    }
    // Of no updates there is no logarithm to divide by.
    let none = LearningRateSchedule(peak: 2, warmUp: .log, decay: .linear, steps: 10)
    #expect(none.rate(at: 0) == 2 && none.rate(at: 5) == 1)
    let short = LearningRateSchedule(peak: 2, warmUp: .log, warmUpSteps: 1)
    #expect((0..<4).map(short.rate(at:)) == [2, 0, 2, 2])
  }

  @Test("a cosine schedule ends at its share of the peak")
  func cosine() {
    let schedule = LearningRateSchedule(peak: 2, decay: .cosine, steps: 100, finalShare: 0.1)
    #expect(schedule.rate(at: 0) == 2)
    #expect(abs(schedule.rate(at: 50) - 1.1) < 1e-5)
    #expect(abs(schedule.rate(at: 100) - 0.2) < 1e-5)
  }
}

@Suite("Weights")
struct WeightsTests {
  @Test("layers built twice from one root share memory, adapters or not")
  func shared() throws {
    let weights = Weights(randomSeed: 3)
    let plain = try Linear(weights["a"]["to_q"], inputs: 4, outputs: 3)
    let set = AdapterSet.fresh(rank: 2, seed: 1) { $0.hasSuffix(".to_q") }
    let adapted = try Linear(weights.adapted(by: set)["a"]["to_q"], inputs: 4, outputs: 3)
    let x = Tensor([1, 2, 3, 4], shape: [1, 4])
    // A fresh adapter's up matrix is 0: it changes nothing.
    #expect(plain(x).values == adapted(x).values)
    #expect(set.parameters.map(\.name) == ["a.to_q.down", "a.to_q.up"])
    set.parameters[1].assign([1, 0, 0, 0, 0, 0])
    #expect(plain(x).values != adapted(x).values)
    #expect(weights.parameters.count == 2)
  }

  @Test("the same seed and name give the same values")
  func repeatable() throws {
    let values = try (0..<2).map { _ in
      try Weights(randomSeed: 5).parameter("x", shape: [9], initial: .normal(deviation: 1))
        .tensor.values
    }
    #expect(values[0] == values[1])
    let other = try Weights(randomSeed: 5).parameter(
      "y", shape: [9], initial: .normal(deviation: 1))
    #expect(other.tensor.values != values[0])
  }

  @Test("convolutions keep the checkpoint's layout outside")
  func convolutionLayout() throws {
    let weights = Weights(randomSeed: 1)
    let layer = try Conv2d(weights, inputs: 2, outputs: 3, kernel: 3)
    let parameter = try #require(weights.parameters.first)
    #expect(parameter.storedShape == [3, 2, 3, 3])
    #expect(parameter.tensor.shape == [3, 3, 2, 3])
    let stored = (0..<54).map { Float($0) }
    parameter.assign(stored)
    #expect(parameter.storedValues == stored)
    // A single pixel of input channel 1 meets the centre of each kernel: o * 18 + 9 + 4.
    let output = layer(Tensor([0, 1], shape: [1, 1, 1, 2]))
    #expect(output.values == [13, 31, 49])
  }
}
